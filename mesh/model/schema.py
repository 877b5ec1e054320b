"""The TFLite schema's field tables, parsed from their text: which slot of which table holds what."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from mesh.model.schema_text import (
    BUILTIN_OPERATORS,
    CORE_TABLES,
    METADATA_TABLES,
    OPTION_TABLES,
    TENSOR_TYPES,
    UNIONS,
)


class Kind(Enum):
    """How a slot's value lies in the file: in the table itself or behind an offset."""

    SCALAR = auto()
    STRING = auto()
    SCALARS = auto()  # vector of scalars
    TABLE = auto()
    TABLES = auto()  # vector of tables
    UNION = auto()  # table whose type the slot before names
    PASSED_OVER = auto()  # of any kind, of no use here


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One slot. `item` names the table or union; `width_bytes` and `code` (struct) tell the scalar.

    `align_bytes` is that of the vector's first item or of the scalar.
    """

    name: str
    kind: Kind
    item: str = ""
    code: str = ""
    width_bytes: int = 4
    align_bytes: int = 4


_CODES = {
    "bool": "?",
    "i8": "b",
    "u8": "B",
    "i16": "h",
    "u16": "H",
    "i32": "i",
    "u32": "I",
    "i64": "q",
    "u64": "Q",
    "f32": "f",
}
_WIDTHS_BYTES = {"?": 1, "b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "q": 8, "Q": 8, "f": 4}
_UNSIZED = {"any": Kind.PASSED_OVER, "str": Kind.STRING}
_BLOB_ALIGN_BYTES = 16  # schema.fbs: Buffer.data (force_align: 16)


def _field(text: str) -> Field | None:
    if text == "-":
        return None
    name, _, kind = text.partition(":")
    item = kind.strip("[]")
    is_vector = kind != item
    if kind in _UNSIZED:
        return Field(name=name, kind=_UNSIZED[kind])
    if kind == "blob":
        return Field(
            name=name, kind=Kind.SCALARS, code="B", width_bytes=1, align_bytes=_BLOB_ALIGN_BYTES
        )
    if item in _CODES:
        code = _CODES[item]
        width_bytes = _WIDTHS_BYTES[code]
        return Field(
            name=name,
            kind=Kind.SCALARS if is_vector else Kind.SCALAR,
            code=code,
            width_bytes=width_bytes,
            align_bytes=max(4, width_bytes) if is_vector else width_bytes,
        )
    if item in UNIONS:
        return Field(name=name, kind=Kind.UNION, item=item)
    return Field(name=name, kind=Kind.TABLES if is_vector else Kind.TABLE, item=item)


def _tables(text: str) -> dict[str, tuple[Field | None, ...]]:
    tables: dict[str, tuple[Field | None, ...]] = {}
    for entry in text.strip().replace("\n    ", " ").splitlines():
        name, *slots = entry.split()
        tables[name] = tuple(_field(slot) for slot in slots)
    return tables


UNION_MEMBERS: Mapping[str, tuple[str, ...]] = {
    union: tuple(members.split()) for union, members in UNIONS.items()
}
"""Members of each union; the member at i has tag i + 1."""

TABLES: Mapping[str, tuple[Field | None, ...]] = {
    **{member: () for members in UNION_MEMBERS.values() for member in members},
    **_tables(CORE_TABLES),
    **_tables(OPTION_TABLES),
    **_tables(METADATA_TABLES),
}
"""Fields of each table by slot; None where the schema has withdrawn one."""

METADATA_NAMES = frozenset(_tables(METADATA_TABLES))
"""Those of the tables that TFLITE_METADATA is made of."""

OPERATOR_NAMES: tuple[str, ...] = tuple(BUILTIN_OPERATORS.split())
TENSOR_TYPE_NAMES: tuple[str, ...] = tuple(TENSOR_TYPES.split())

FIELDS: Mapping[str, Mapping[str, Field]] = {
    table: {field.name: field for field in slots if field is not None}
    for table, slots in TABLES.items()
}
"""Fields of each table by name."""
