"""Reads a flatbuffer of the TFLite schema, checking every offset, length and count before its use.

What the values mean (indices, shapes) is the reader's to check.
"""

import struct
from collections.abc import Callable

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.limits import Limits
from mesh.model.schema import TABLES, UNION_MEMBERS, Field, Kind
from mesh.model.table import Table, Value

IDENTIFIER = b"TFL3"

_MAX_FIELDS = 64  # of one table: four times what the largest has

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_SCALARS = {code: struct.Struct("<" + code) for code in "?bBhHiIqQf"}


METADATA_IDENTIFIER = b"M001"  # metadata_schema.fbs, file_identifier


def decode_metadata(data: memoryview, limits: Limits) -> Table:
    """The ModelMetadata table of what TFLITE_METADATA holds. Raises: as `decode`."""
    if len(data) < 8 or data[4:8] != METADATA_IDENTIFIER:
        raise InvalidModelError("the model's metadata lacks the identifier M001")
    decoder = _Decoder(data, limits)
    return decoder.table(decoder.target(0, "the root"), "ModelMetadata")


def decode(data: memoryview, limits: Limits) -> Table:
    """The file's Model table; vectors are views into `data`.

    Raises: InvalidModelError for a damaged file, UnsupportedModelError for fields or options that
    the schema does not know.
    """
    if len(data) > limits.max_file_bytes:
        raise UnsupportedModelError(
            f"the model file has {len(data)} bytes; the limit is {limits.max_file_bytes}: raise "
            "max_model_bytes on every node"
        )
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        raise InvalidModelError("not a .tflite file: the identifier TFL3 is missing")
    decoder = _Decoder(data, limits)
    return decoder.table(decoder.target(0, "the root"), "Model")


class _Decoder:
    """One pass over a file. The schema has no table inside itself, so recursion ends."""

    def __init__(self, data: memoryview, limits: Limits) -> None:
        self._data = data
        self._size = len(data)
        self._tables_left = limits.max_tables
        self._fields_left = limits.max_fields
        # What a sound file holds hardly overlaps; the allowance is for shared empty or small things.
        self._bytes_left = 2 * self._size
        self._max_string_bytes = limits.max_name_bytes
        self._max_counts = {
            "subgraphs": limits.max_subgraphs,
            "tensors": limits.max_tensors,
            "operators": limits.max_operators,
            "buffers": limits.max_buffers,
        }
        self._readers: dict[Kind, Callable[[int, Field, str], Value]] = {
            Kind.SCALAR: self._scalar,
            Kind.STRING: self._string,
            Kind.SCALARS: self._scalars,
            Kind.TABLE: lambda at, field, where: self.table(self.target(at, where), field.item),
            Kind.TABLES: self._tables,
        }

    def target(self, at: int, where: str) -> int:
        """Follow the offset at `at` to something that starts with 4 bytes."""
        self._within(at, 4, where)
        offset: int = _U32.unpack_from(self._data, at)[0]
        position = at + offset
        if offset == 0 or position % 4 or position + 4 > self._size:
            raise InvalidModelError(f"{where} has an offset that leads out of the file")
        return position

    def table(self, position: int, name: str) -> Table:
        self._tables_left -= 1
        if self._tables_left < 0:
            raise UnsupportedModelError("the model has more flatbuffer tables than the limit")
        slots = TABLES[name]
        values: dict[str, Value] = {}
        present = self._present(position, name)
        self._fields_left -= len(present)
        if self._fields_left < 0:
            raise UnsupportedModelError(
                "the model's flatbuffer tables have more fields than the limit"
            )
        for slot, offset in present:
            field = slots[slot] if slot < len(slots) else None
            if field is None:
                raise UnsupportedModelError(
                    f"the model uses field {slot} of table {name}, which this version does not know"
                )
            where = f"{name}.{field.name}"
            if field.kind is Kind.PASSED_OVER:
                continue
            if field.kind is Kind.UNION:
                values[field.name] = self._union(position + offset, field, where, values)
            else:
                values[field.name] = self._readers[field.kind](position + offset, field, where)
        return Table(name, values)

    def _present(self, position: int, name: str) -> list[tuple[int, int]]:
        """(slot, offset in the table) of each field that is there, checked against its width."""
        vtable, vtable_bytes, table_bytes = self._extent(position, name)
        count = (vtable_bytes - 4) // 2
        if count > _MAX_FIELDS:
            raise UnsupportedModelError(f"a table {name} of the model has {count} fields")
        offsets = struct.unpack_from(f"<{count}H", self._data, vtable + 4)
        slots = TABLES[name]
        present = [(slot, offset) for slot, offset in enumerate(offsets) if offset]
        for slot, offset in present:
            field = slots[slot] if slot < len(slots) else None
            if field is None or field.kind is Kind.PASSED_OVER:
                continue
            width_bytes = field.width_bytes if field.kind is Kind.SCALAR else 4
            if (
                offset < 4
                or offset + width_bytes > table_bytes
                or (position + offset) % width_bytes
            ):
                raise InvalidModelError(f"{name}.{field.name} lies outside its table")
        return present

    def _extent(self, position: int, name: str) -> tuple[int, int, int]:
        """Position and size of the table's vtable, and the size of the table."""
        vtable = position - _I32.unpack_from(self._data, position)[0]
        if vtable < 0 or vtable % 2 or vtable + 4 > self._size:
            raise InvalidModelError(f"a table {name} has its field list outside the file")
        vtable_bytes: int = _U16.unpack_from(self._data, vtable)[0]
        table_bytes: int = _U16.unpack_from(self._data, vtable + 2)[0]
        if (
            vtable_bytes < 4
            or vtable_bytes % 2
            or table_bytes < 4
            or vtable + vtable_bytes > self._size
            or position + table_bytes > self._size
        ):
            raise InvalidModelError(f"a table {name} reaches beyond the end of the file")
        self._spend(table_bytes)
        return vtable, vtable_bytes, table_bytes

    def _scalar(self, at: int, field: Field, _where: str) -> Value:
        value: Value = _SCALARS[field.code].unpack_from(self._data, at)[0]
        return value

    def _string(self, at: int, _field: Field, where: str) -> Value:
        start, count = self._vector(at, 1, where)
        if count > self._max_string_bytes:
            raise UnsupportedModelError(f"{where} is longer than {self._max_string_bytes} bytes")
        return bytes(self._data[start : start + count])

    def _scalars(self, at: int, field: Field, where: str) -> Value:
        start, count = self._vector(at, field.width_bytes, where)
        return self._data[start : start + count * field.width_bytes]

    def _tables(self, at: int, field: Field, where: str) -> Value:
        start, count = self._vector(at, 4, where)
        limit = self._max_counts.get(field.name, self._tables_left)
        if count > min(limit, self._tables_left):
            raise UnsupportedModelError(f"{where} has {count} entries, more than the limit")
        return tuple(
            self.table(self.target(start + 4 * index, where), field.item) for index in range(count)
        )

    def _union(self, at: int, field: Field, where: str, before: dict[str, Value]) -> Value:
        members = UNION_MEMBERS[field.item]
        tag = before.get(f"{field.name}_type", 0)
        if not isinstance(tag, int) or tag == 0:
            raise InvalidModelError(f"{where} is there but its type is not")
        if tag > len(members):
            raise UnsupportedModelError(
                f"{where} is of type {tag} of union {field.item}, which this version does not know"
            )
        return self.table(self.target(at, where), members[tag - 1])

    def _vector(self, at: int, width_bytes: int, where: str) -> tuple[int, int]:
        """Position of the first item and number of items."""
        position = self.target(at, where)
        count: int = _U32.unpack_from(self._data, position)[0]
        start = position + 4
        self._within(start, count * width_bytes, where)
        self._spend(4 + count * width_bytes)
        return start, count

    def _spend(self, size_bytes: int) -> None:
        """Count what has been read, whether or not it was read before."""
        self._bytes_left -= size_bytes
        if self._bytes_left < 0:
            raise InvalidModelError("the file's tables and vectors overlap each other")

    def _within(self, start: int, length: int, where: str) -> None:
        if start + length > self._size:
            raise InvalidModelError(f"{where} reaches beyond the end of the file")
