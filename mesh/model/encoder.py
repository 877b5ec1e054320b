"""Writes a Model table as a flatbuffer, front to back, the weights last and aligned to 16 bytes.

Weights that do not fit a flatbuffer lie beside it, where both runtimes find them too.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

from mesh.errors import UnsupportedModelError
from mesh.model.decoder import IDENTIFIER
from mesh.model.schema import TABLES, Field, Kind
from mesh.model.table import Table, Value, make_table

_MAX_FILE_BYTES = (1 << 31) - 1  # offsets of a flatbuffer are 31 bits
_BLOB_ALIGN_BYTES = 16


_MAX_WEIGHTS_BYTES = _MAX_FILE_BYTES - (64 << 20)  # leaves room for all tables


def encode(model: Table) -> bytes:
    """The file. Raises: UnsupportedModelError when its tables would pass 2 GiB."""
    return b"".join(encode_pieces(model))


def encode_pieces(
    model: Table, *, max_weights_bytes: int = _MAX_WEIGHTS_BYTES
) -> tuple[bytes | memoryview, ...]:
    """The file in consecutive pieces, the weights as the views they are: nothing large is copied.

    Raises: UnsupportedModelError when its tables would pass 2 GiB.
    """
    contents = [table.raw("data") for table in model.tables("buffers")]
    if sum(map(len, contents)) > max_weights_bytes:
        return _with_weights_beside(model, contents)
    encoder = _Encoder()
    encoder.patch(0, encoder.table(model))
    return encoder.finish()


def _with_weights_beside(
    model: Table, contents: Sequence[memoryview]
) -> tuple[bytes | memoryview, ...]:
    """schema.fbs, Buffer.offset: content from there on, counted from the start of the file."""

    def head(start: int) -> bytes:
        buffers, at = [], start
        for content in contents:
            buffers.append(make_table("Buffer", offset=at, size=len(content)) if content else empty)
            at += _padded(len(content))
        encoder = _Encoder()
        encoder.patch(0, encoder.table(model.replace(buffers=tuple(buffers))))
        return b"".join(encoder.finish())

    empty = make_table("Buffer")
    # Its size does not depend on where the contents lie, so it is written twice.
    start = _padded(len(head(_BLOB_ALIGN_BYTES)))
    pieces: list[bytes | memoryview] = [head(start).ljust(start, b"\0")]
    for content in contents:
        pieces += [content, bytes(_padded(len(content)) - len(content))]
    return tuple(pieces)


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // _BLOB_ALIGN_BYTES) * _BLOB_ALIGN_BYTES


class _Layout(NamedTuple):
    """Where the fields of a kind of table lie; `align_bytes` is that of what follows its first 4."""

    vtable: int
    offsets: dict[int, int]
    table_bytes: int
    align_bytes: int


class _Encoder:
    """One file under way: `head` holds all but the blobs, which wait for its size to be known."""

    def __init__(self) -> None:
        self._head = bytearray(struct.pack("<I4s", 0, IDENTIFIER))
        self._layouts: dict[tuple[str, tuple[int, ...]], _Layout] = {}
        self._blobs: list[tuple[int, memoryview]] = []

    def table(self, table: Table) -> int:
        """Write the table, then what it refers to; the position of the table."""
        present = [
            (slot, field, table.values[field.name])
            for slot, field in enumerate(TABLES[table.name])
            if field is not None and field.name in table.values
        ]
        shape = (table.name, tuple(slot for slot, _, _ in present))
        if shape not in self._layouts:
            self._layouts[shape] = self._layout([(slot, field) for slot, field, _ in present])
        vtable, offsets, table_bytes, align_bytes = self._layouts[shape]
        position = self._reserve(table_bytes, align_bytes=align_bytes, lead_bytes=4)
        struct.pack_into("<i", self._head, position, position - vtable)
        for slot, field, value in present:
            self._put(position + offsets[slot], field, value)
        return position

    def patch(self, at: int, position: int) -> None:
        """Let the offset at `at` lead to `position`."""
        struct.pack_into("<I", self._head, at, position - at)

    def finish(self) -> tuple[bytes | memoryview, ...]:
        position = len(self._head)
        pieces: list[bytes | memoryview] = [b""]
        for at, blob in self._blobs:
            padding = -(position + 4) % _BLOB_ALIGN_BYTES
            self._check(position + padding + 4 + len(blob))
            self.patch(at, position + padding)
            pieces += [bytes(padding) + struct.pack("<I", len(blob)), blob]
            position += padding + 4 + len(blob)
        pieces[0] = bytes(self._head)
        return tuple(pieces)

    def _put(self, at: int, field: Field, value: Value) -> None:
        if field.kind is Kind.SCALAR:
            struct.pack_into("<" + field.code, self._head, at, value)
        elif isinstance(value, Table):
            self.patch(at, self.table(value))
        elif isinstance(value, tuple):
            self._put_tables(at, value)
        elif isinstance(value, bytes):
            self._put_vector(at, value + b"\0", len(value), 4)
        elif isinstance(value, memoryview) and field.align_bytes == _BLOB_ALIGN_BYTES:
            self._blobs.append((at, value))
        elif isinstance(value, memoryview):
            self._put_vector(at, value, len(value) // field.width_bytes, field.align_bytes)
        else:
            raise TypeError(f"{field.name} cannot hold {type(value).__name__}")

    def _put_vector(self, at: int, raw: bytes | memoryview, count: int, align_bytes: int) -> None:
        position = self._reserve(4 + len(raw), align_bytes=align_bytes, lead_bytes=4)
        struct.pack_into("<I", self._head, position, count)
        self._head[position + 4 : position + 4 + len(raw)] = raw
        self.patch(at, position)

    def _put_tables(self, at: int, tables: Sequence[Table]) -> None:
        position = self._reserve(4 + 4 * len(tables), align_bytes=4, lead_bytes=0)
        struct.pack_into("<I", self._head, position, len(tables))
        self.patch(at, position)
        for index, table in enumerate(tables):
            self.patch(position + 4 + 4 * index, self.table(table))

    def _layout(self, fields: Sequence[tuple[int, Field]]) -> _Layout:
        """Lay out a table with these fields, wide ones first, and write its vtable."""
        offsets: dict[int, int] = {}
        end = 4
        for slot, field in sorted(fields, key=lambda entry: -_width_bytes(entry[1])):
            offsets[slot] = end
            end += _width_bytes(field)
        slots = max(offsets, default=-1) + 1
        entries = [offsets.get(slot, 0) for slot in range(slots)]
        vtable = self._reserve(4 + 2 * slots, align_bytes=2, lead_bytes=0)
        struct.pack_into(f"<HH{slots}H", self._head, vtable, 4 + 2 * slots, end, *entries)
        widest_bytes = max((_width_bytes(field) for _, field in fields), default=4)
        return _Layout(vtable, offsets, end, max(4, widest_bytes))

    def _reserve(self, size_bytes: int, *, align_bytes: int, lead_bytes: int) -> int:
        """Append zeros so that what follows the first `lead_bytes` of them is aligned."""
        position = len(self._head) + -(len(self._head) + lead_bytes) % align_bytes
        self._check(position + size_bytes)
        self._head.extend(bytes(position + size_bytes - len(self._head)))
        return position

    def _check(self, size_bytes: int) -> None:
        if size_bytes > _MAX_FILE_BYTES:
            raise UnsupportedModelError(
                "a slice of this model would be larger than 2 GiB without its weights"
            )


def _width_bytes(field: Field) -> int:
    return field.width_bytes if field.kind is Kind.SCALAR else 4
