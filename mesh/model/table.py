"""One flatbuffer table as a value: what a field holds, checked for its type; no bytes, no offsets."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

from mesh.model.schema import FIELDS, Kind

Scalar = bool | int | float
Value = Union[Scalar, bytes, memoryview, "Table", tuple["Table", ...]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the schema with the fields that are present.

    Strings are bytes, vectors of scalars raw little-endian memoryviews, vectors of tables tuples.
    An absent field has the schema's default, so a table that is written again stays as it was.
    """

    name: str
    values: Mapping[str, Value]

    def integer(self, field: str, default: int = 0) -> int:
        value = self.values.get(field, default)
        if not isinstance(value, int):
            raise TypeError(f"{self.name}.{field} is not an integer")
        return value

    def integers(self, field: str) -> tuple[int, ...]:
        """The vector's items; empty when it is absent."""
        raw = self.raw(field)
        kind = FIELDS[self.name][field]
        return struct.unpack(f"<{len(raw) // kind.width_bytes}{kind.code}", raw)

    def floats(self, field: str) -> tuple[float, ...]:
        """The vector's items; empty when it is absent."""
        raw = self.raw(field)
        return struct.unpack(f"<{len(raw) // 4}f", raw)

    def raw(self, field: str) -> memoryview:
        """The vector's bytes; empty when it is absent."""
        value = self.values.get(field)
        if value is None:
            return memoryview(b"")
        if not isinstance(value, memoryview):
            raise TypeError(f"{self.name}.{field} is not a vector of scalars")
        return value

    def text(self, field: str) -> str:
        """The string for people; bytes that are not UTF-8 are replaced. Empty when it is absent."""
        value = self.values.get(field, b"")
        if not isinstance(value, bytes):
            raise TypeError(f"{self.name}.{field} is not a string")
        return value.decode("utf-8", "replace")

    def table(self, field: str) -> "Table | None":
        value = self.values.get(field)
        if value is not None and not isinstance(value, Table):
            raise TypeError(f"{self.name}.{field} is not a table")
        return value

    def tables(self, field: str) -> "tuple[Table, ...]":
        """The vector's tables; empty when it is absent."""
        value = self.values.get(field, ())
        if not isinstance(value, tuple):
            raise TypeError(f"{self.name}.{field} is not a vector of tables")
        return value

    def replace(self, **changes: Value | None) -> "Table":
        """The same table with some fields set, or removed where None."""
        merged = {**self.values, **changes}
        return Table(self.name, {key: value for key, value in merged.items() if value is not None})


def make_table(
    table: str, /, **fields: Value | str | Sequence[float] | Sequence[Table] | None
) -> Table:
    """A table from plain values: text, numbers, bytes, sequences. None leaves the field out."""
    return Table(
        table,
        {key: _value(table, key, value) for key, value in fields.items() if value is not None},
    )


def _value(table: str, field: str, value: Any) -> Value:
    kind = FIELDS[table][field]
    if isinstance(value, str):
        return value.encode()
    if kind.kind is Kind.TABLES:
        return tuple(value)
    if kind.kind is Kind.SCALARS and not isinstance(value, memoryview):
        raw = (
            value if isinstance(value, bytes) else struct.pack(f"<{len(value)}{kind.code}", *value)
        )
        return memoryview(raw)
    return value  # type: ignore[no-any-return]
