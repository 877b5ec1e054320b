import pytest

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model import Limits
from mesh.model.parts import (
    Budget,
    clean,
    operator_name,
    read_buffers,
    read_operators,
    read_tensors,
)
from mesh.model.table import Table, make_table

_LIMITS = Limits()


def _tensor(**fields: object) -> Table:
    return make_table("SubGraph", tensors=[make_table("Tensor", **fields)])  # type: ignore[arg-type]


def _operators(code: Table, **fields: object) -> tuple[Table, Table]:
    operator = make_table("Operator", **fields)  # type: ignore[arg-type]
    return make_table("Model", operator_codes=[code]), make_table("SubGraph", operators=[operator])


def test_content_beside_the_flatbuffer_is_found() -> None:
    model = make_table("Model", buffers=[make_table("Buffer", offset=4, size=3)])

    assert read_buffers(model, memoryview(b"....abc")) == (memoryview(b"abc"),)


@pytest.mark.parametrize("offset", [0, 1])
def test_an_unused_offset_is_no_content(offset: int) -> None:
    model = make_table("Model", buffers=[make_table("Buffer", offset=offset, size=3)])

    assert read_buffers(model, memoryview(b"....abc")) == (None,)


def test_content_beyond_the_file_is_damage() -> None:
    model = make_table("Model", buffers=[make_table("Buffer", offset=5, size=2**63)])

    with pytest.raises(InvalidModelError, match="buffer 0"):
        read_buffers(model, memoryview(b"....abc"))


def test_buffers_hold_no_more_than_the_file() -> None:
    model = make_table("Model", buffers=[make_table("Buffer", offset=2, size=5)] * 2)

    with pytest.raises(InvalidModelError, match="overlap"):
        read_buffers(model, memoryview(b"....abc"))


@pytest.mark.parametrize(
    ("type_code", "size_bytes"),
    [(0, 24), (1, 12), (9, 6), (4, 48), (17, 3), (19, 2), (8, 48), (5, 0)],
)
def test_sizes_follow_the_type(type_code: int, size_bytes: int) -> None:
    subgraph = _tensor(shape=[2, 3], type=type_code)

    (tensor,) = read_tensors(subgraph, [None], _LIMITS, Budget(_LIMITS))

    assert tensor.size_bytes == size_bytes
    assert (tensor.data_type is None) == (type_code in {5, 8, 17, 19})


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"type": 99}, UnsupportedModelError),
        ({"type": -1}, UnsupportedModelError),
        ({"shape": [1] * 9}, UnsupportedModelError),
        ({"shape": [2**31 - 1] * 8}, UnsupportedModelError),
        ({"shape": [-2]}, InvalidModelError),
        ({"buffer": 1}, InvalidModelError),
    ],
)
def test_a_tensor_that_makes_no_sense_is_named(
    fields: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error, match="'odd'"):
        read_tensors(_tensor(name="odd", **fields), [None], _LIMITS, Budget(_LIMITS))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"opcode_index": 1}, "no operator code 1"),
        ({"inputs": [2]}, r"operator 0 \(ADD\)"),
        ({"inputs": [-2]}, r"operator 0 \(ADD\)"),
        ({"outputs": [-1]}, r"operator 0 \(ADD\)"),
        ({"intermediates": [7]}, r"operator 0 \(ADD\)"),
    ],
)
def test_an_operator_names_only_what_exists(fields: dict[str, object], message: str) -> None:
    model, subgraph = _operators(make_table("OperatorCode"), **fields)

    with pytest.raises(InvalidModelError, match=message):
        read_operators(model, subgraph, 2, Budget(_LIMITS))


def test_an_optional_input_may_be_left_out() -> None:
    model, subgraph = _operators(make_table("OperatorCode", version=4), inputs=[0, -1], outputs=[1])

    (operator,) = read_operators(model, subgraph, 2, Budget(_LIMITS))

    assert operator.inputs == (0, -1)
    assert operator.reads == (0,)
    assert operator.version == 4


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ({"deprecated_builtin_code": 3}, "CONV_2D"),
        ({"builtin_code": 3, "deprecated_builtin_code": 3}, "CONV_2D"),
        ({"builtin_code": 150, "deprecated_builtin_code": 127}, "GELU"),
        ({"builtin_code": 32, "custom_code": "My\x1b[2JOp"}, "CUSTOM:My[2JOp"),
    ],
)
def test_both_generations_of_operator_codes_are_understood(
    code: dict[str, int | str], name: str
) -> None:
    assert operator_name(make_table("OperatorCode", **code)) == name


@pytest.mark.parametrize("number", [-1, 5000])
def test_an_unknown_operator_is_refused(number: int) -> None:
    code = make_table("OperatorCode", builtin_code=number, deprecated_builtin_code=min(number, 0))

    with pytest.raises(UnsupportedModelError, match=str(number)):
        operator_name(code)


def test_names_keep_printable_characters_only() -> None:
    assert clean("a\x00b\x1b\n é") == "ab é"
