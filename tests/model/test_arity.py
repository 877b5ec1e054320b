import pytest

from mesh.errors import InvalidModelError
from mesh.model.arity import ARITIES, MAY_LEAVE_OUT, check_arity
from mesh.model.model import Operator
from mesh.model.operators import CONTROL_FLOW, RUNTIME_ONLY, SIZED_BY_VALUES
from mesh.model.schema import OPERATOR_NAMES


def _operator(name: str, inputs: tuple[int, ...], outputs: tuple[int, ...] = (9,)) -> Operator:
    return Operator(index=3, name=name, version=1, inputs=inputs, outputs=outputs)


def test_every_operator_of_the_schema_is_listed_or_refused() -> None:
    listed = ARITIES.keys() | CONTROL_FLOW | RUNTIME_ONLY | SIZED_BY_VALUES

    assert set(OPERATOR_NAMES) - listed == {"CONCAT_EMBEDDINGS", "CUSTOM"}
    assert listed <= set(OPERATOR_NAMES)
    assert ARITIES.keys() >= MAY_LEAVE_OUT


@pytest.mark.parametrize(
    "operator",
    [
        _operator("ADD", (0, 1)),
        _operator("CONV_2D", (0, 1, -1)),
        _operator("CONCATENATION", (0, 1, 2, 3)),
        _operator("SVDF", (0, 1, 2, -1, 4)),
        _operator("ASSIGN_VARIABLE", (0, 1), ()),
        _operator("CUSTOM:Anything", ()),
    ],
)
def test_what_a_kernel_needs_is_there(operator: Operator) -> None:
    check_arity([operator])


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (_operator("ADD", (0,)), r"3 \(ADD\) has 1 inputs and 1 outputs; it needs 2 and 1"),
        (_operator("ADD", (0, 1), ()), "0 outputs"),
        (_operator("STRIDED_SLICE", (0, 1, 2)), "it needs 4 and 1"),
        (_operator("ADD", (0, -1)), r"3 \(ADD\) leaves out input 1, which it needs"),
        (_operator("CONV_2D", (-1, 1, 2)), "leaves out input 0"),
        (_operator("FULLY_CONNECTED", (0, -1)), "leaves out input 1"),
        (_operator("TRANSPOSE_CONV", (0, 1, -1)), "leaves out input 2"),
    ],
)
def test_what_a_kernel_lacks_is_damage(operator: Operator, message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        check_arity([operator])
