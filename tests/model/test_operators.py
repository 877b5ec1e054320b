import pytest

from mesh.model import operators
from mesh.model.schema import OPERATOR_NAMES


@pytest.mark.parametrize(
    "names",
    [
        operators.CONTROL_FLOW,
        operators.HANDLE_MAKERS,
        operators.HANDLE_USERS,
        operators.RUNTIME_ONLY,
        operators.SIZED_BY_VALUES,
        operators.SHAPE_SOURCES,
        operators.RANDOM,
        operators.SHAPE_INPUTS.keys(),
    ],
)
def test_every_name_is_an_operator_of_the_schema(names: frozenset[str]) -> None:
    assert set(names) <= set(OPERATOR_NAMES)


def test_no_operator_is_refused_for_two_reasons() -> None:
    refused = [
        *operators.CONTROL_FLOW,
        *operators.HANDLE_USERS,
        *operators.RUNTIME_ONLY,
        *operators.SIZED_BY_VALUES,
    ]

    assert len(set(refused)) == len(refused)
