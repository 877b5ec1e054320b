"""Finds where things lie in a sound .tflite file: offsets, field lists, lengths, scalars, weights.

It follows the file without checking anything, so it is for sound files only.
"""

import struct
from dataclasses import dataclass
from enum import Enum, auto

from mesh.model.schema import TABLES, UNION_MEMBERS, Field, Kind


class PlaceKind(Enum):
    """What the bytes at a place mean."""

    OFFSET = auto()  # u32, from here to a table, vector or string
    FIELD_LIST = auto()  # i32 at the start of a table, back to its vtable
    FIELD_ENTRY = auto()  # u16 of a vtable: its size, its table's size, or where a field lies
    COUNT = auto()  # u32 at the start of a vector or string
    SCALAR = auto()
    ITEMS = auto()  # of a vector of scalars, or a string's characters


@dataclass(frozen=True, slots=True)
class Place:
    """Some bytes of the file and what they are, for example those of `Tensor.shape`."""

    kind: PlaceKind
    start: int
    size_bytes: int
    what: str


@dataclass(frozen=True, slots=True)
class Anatomy:
    """All places of a file, and the positions of its tables."""

    places: tuple[Place, ...]
    tables: tuple[int, ...]

    def of(self, *kinds: PlaceKind) -> list[Place]:
        return [place for place in self.places if place.kind in kinds]

    @property
    def structure(self) -> list[Place]:
        """Everything but the weights."""
        return [place for place in self.places if place.what != "Buffer.data"]


def dissect(file: bytes) -> Anatomy:
    dissector = _Dissector(file)
    dissector.table(dissector.follow(0, "Model"), "Model")
    return Anatomy(tuple(dict.fromkeys(dissector.places)), tuple(dissector.tables))


class _Dissector:
    """One pass over a file; shared vtables are noted each time they are met."""

    def __init__(self, file: bytes) -> None:
        self._file = file
        self.places: list[Place] = []
        self.tables: list[int] = []

    def follow(self, at: int, what: str) -> int:
        """Where the offset at `at` leads."""
        self._note(PlaceKind.OFFSET, at, 4, what)
        return at + self._u32(at)

    def table(self, position: int, name: str) -> None:
        self.tables.append(position)
        self._note(PlaceKind.FIELD_LIST, position, 4, name)
        (back,) = struct.unpack_from("<i", self._file, position)
        vtable = position - back
        (vtable_bytes,) = struct.unpack_from("<H", self._file, vtable)
        entries = struct.unpack_from(f"<{vtable_bytes // 2}H", self._file, vtable)
        for slot in range(len(entries)):
            self._note(PlaceKind.FIELD_ENTRY, vtable + 2 * slot, 2, name)
        tag = 0
        for field, offset in zip(TABLES[name], entries[2:], strict=False):
            if field is not None and offset:
                self._field(position + offset, field, name, tag)
                tag = self._file[position + offset]  # of the union that follows, if one does

    def _field(self, at: int, field: Field, table: str, tag: int) -> None:
        what = f"{table}.{field.name}"
        if field.kind is Kind.SCALAR:
            self._note(PlaceKind.SCALAR, at, field.width_bytes, what)
            return
        target = self.follow(at, what)
        if field.kind is Kind.TABLE:
            self.table(target, field.item)
        elif field.kind is Kind.UNION:
            self.table(target, UNION_MEMBERS[field.item][tag - 1])
        else:
            self._vector(target, field, what)

    def _vector(self, at: int, field: Field, what: str) -> None:
        count = self._u32(at)
        self._note(PlaceKind.COUNT, at, 4, what)
        if field.kind is Kind.TABLES:
            for index in range(count):
                self.table(self.follow(at + 4 + 4 * index, what), field.item)
        else:
            width_bytes = 1 if field.kind is Kind.STRING else field.width_bytes
            self._note(PlaceKind.ITEMS, at + 4, count * width_bytes, what)

    def _note(self, kind: PlaceKind, start: int, size_bytes: int, what: str) -> None:
        if size_bytes:
            self.places.append(Place(kind, start, size_bytes, what))

    def _u32(self, at: int) -> int:
        return int(struct.unpack_from("<I", self._file, at)[0])
