"""The field tables against LiteRT's generated schema."""

import inspect
import re

import pytest

from mesh.model.schema import FIELDS, METADATA_NAMES, TABLES, UNION_MEMBERS, Field, Kind

generated = pytest.importorskip("ai_edge_litert.schema_py_generated")

_FLAGS = {
    "?": "Bool",
    "b": "Int8",
    "B": "Uint8",
    "H": "Uint16",
    "i": "Int32",
    "I": "Uint32",
    "q": "Int64",
    "Q": "Uint64",
    "f": "Float32",
}
# The generator leaves out fields marked deprecated.
_DEPRECATED = {
    ("ResizeBilinearOptions", "new_height"),
    ("ResizeBilinearOptions", "new_width"),
    ("SignatureDef", "deprecated_tag"),
}


_METADATA_UNION = "ProcessUnitOptions"
_MODEL_TABLES = [
    name
    for name in TABLES
    if name not in METADATA_NAMES and name not in UNION_MEMBERS[_METADATA_UNION]
]


def _accessor(table: str, field: Field) -> str:
    camel = "".join(part[:1].upper() + part[1:] for part in field.name.split("_"))
    return inspect.getsource(getattr(getattr(generated, table), camel))


@pytest.mark.parametrize("table", _MODEL_TABLES)
def test_table_has_as_many_slots_as_the_schema(table: str) -> None:
    source = inspect.getsource(getattr(generated, f"{table}Start"))

    assert f"StartObject({len(TABLES[table])})" in source


@pytest.mark.parametrize("table", [name for name in _MODEL_TABLES if TABLES[name]])
def test_each_field_has_the_slot_and_type_of_the_schema(table: str) -> None:
    for slot, field in enumerate(TABLES[table]):
        if field is None or (table, field.name) in _DEPRECATED:
            continue
        source = _accessor(table, field)
        assert f"Offset({4 + 2 * slot})" in source
        if field.code:
            assert f"{_FLAGS[field.code]}Flags" in source
            assert (".Vector(" in source) == (field.kind is Kind.SCALARS)
        elif field.kind in (Kind.TABLE, Kind.TABLES):
            assert f"{field.item}()" in source
            assert (".Vector(" in source) == (field.kind is Kind.TABLES)
        else:
            assert ("String" in source) == (field.kind is Kind.STRING)


def test_all_tables_of_the_schema_are_known() -> None:
    starts = {name[:-5] for name in vars(generated) if re.fullmatch(r"[A-Z]\w+Start", name)}

    assert starts == set(_MODEL_TABLES)


@pytest.mark.parametrize("union", UNION_MEMBERS.keys() - {_METADATA_UNION})
def test_union_members_have_the_tags_of_the_schema(union: str) -> None:
    tags = {name: tag for name, tag in vars(getattr(generated, union)).items() if name[0] != "_"}

    assert tags == {"NONE": 0} | {name: at + 1 for at, name in enumerate(UNION_MEMBERS[union])}


def test_each_union_field_follows_its_tag() -> None:
    for slots in TABLES.values():
        for before, field in zip((None, *slots), slots, strict=False):
            if field is not None and field.kind is Kind.UNION:
                assert before is not None
                assert before.name == f"{field.name}_type"


def test_weights_are_aligned_to_16_bytes() -> None:
    assert FIELDS["Buffer"]["data"].align_bytes == 16
