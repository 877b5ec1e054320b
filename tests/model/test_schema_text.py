import pytest

from mesh.model.schema import OPERATOR_NAMES, TENSOR_TYPE_NAMES
from mesh.model.schema_text import CORE_TABLES, METADATA_TABLES, OPTION_TABLES

generated = pytest.importorskip("ai_edge_litert.schema_py_generated")


def _numbers(enumeration: type) -> dict[str, int]:
    return {name: value for name, value in vars(enumeration).items() if name[0] != "_"}


def test_operators_have_the_numbers_of_the_schema() -> None:
    assert _numbers(generated.BuiltinOperator) == {
        name: number for number, name in enumerate(OPERATOR_NAMES)
    }


def test_tensor_types_have_the_numbers_of_the_schema() -> None:
    assert _numbers(generated.TensorType) == {
        name: number for number, name in enumerate(TENSOR_TYPE_NAMES)
    }


def test_no_table_is_described_twice() -> None:
    text = CORE_TABLES + OPTION_TABLES + METADATA_TABLES
    names = [line.split()[0] for line in text.splitlines() if line[:1] > " "]

    assert len(set(names)) == len(names)
