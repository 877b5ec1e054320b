import pytest

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.model import Bond, Operator, Tensor
from mesh.model.placement import Placement, place

_TENSORS = tuple(
    Tensor(
        index=i, name=f"t{i}", type_name="FLOAT32", data_type=None, shape=(), size_bytes=4, buffer=0
    )
    for i in range(10)
)


def _place(
    *operators: tuple[str, tuple[int, ...], tuple[int, ...]], outputs: tuple[int, ...]
) -> Placement:
    """Place operators given as (name, inputs, outputs); tensor 0 is the graph input."""
    numbered = [
        Operator(index=at, name=name, version=1, inputs=inputs, outputs=made)
        for at, (name, inputs, made) in enumerate(operators)
    ]
    return place(numbered, _TENSORS, [0], outputs)


def test_operators_fed_only_by_constants_are_copied_not_placed() -> None:
    placement = _place(
        ("DENSIFY", (8,), (7,)),
        ("DEQUANTIZE", (7,), (1,)),
        ("CONV_2D", (0, 1, -1), (2,)),
        outputs=(2,),
    )

    assert [op.name for op in placement.layers] == ["CONV_2D"]
    assert [op.name for op in placement.copied] == ["DENSIFY", "DEQUANTIZE"]
    assert placement.activations == {0, 2}
    assert placement.constants == {8}


def test_operators_that_no_output_needs_are_left_out() -> None:
    placement = _place(("RELU", (0,), (1,)), ("ABS", (0,), (2,)), outputs=(1,))

    assert [op.index for op in placement.layers] == [0]
    assert placement.activations == {0, 1}


def test_a_constant_output_is_a_constant() -> None:
    assert _place(("RELU", (0,), (1,)), outputs=(1, 9)).constants == {9}


def test_shapes_made_of_shapes_are_known() -> None:
    placement = _place(
        ("SHAPE", (0,), (1,)),
        ("STRIDED_SLICE", (1, 8, 8, 8), (2,)),
        ("PACK", (2, 9), (3,)),
        ("RELU", (0,), (4,)),
        ("RESHAPE", (4, 3), (5,)),
        outputs=(5,),
    )

    assert placement.shape_tensors == {1, 2, 3}


def test_shapes_made_of_constants_are_known_as_those_made_of_shapes() -> None:
    """With them tflite-runtime 2.14 leaves XNNPACK out of the whole, and not out of its slices."""
    placement = _place(
        ("ADD", (8, 9), (1,)), ("RESHAPE", (0, 1), (2,)), ("RELU", (2,), (3,)), outputs=(3,)
    )

    assert placement.shape_tensors == {1}
    assert [op.name for op in placement.copied] == ["ADD"]


def test_shapes_made_of_values_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="values of input 't0'"):
        _place(("CAST", (0,), (1,)), ("RESHAPE", (8, 1), (2,)), outputs=(2,))


@pytest.mark.parametrize(
    ("operators", "message"),
    [
        ([("ABS", (2,), (1,)), ("RELU", (0,), (2,))], "before it is made"),
        ([("ABS", (1,), (1,))], "before it is made"),
        ([("ABS", (0,), (1,)), ("RELU", (0,), (1,))], "made twice"),
        ([("ABS", (8,), (0,))], "made twice"),
        ([("ABS", (0,), (1, 1))], "made twice"),
    ],
)
def test_each_tensor_is_made_once_and_before_it_is_read(
    operators: list[tuple[str, tuple[int, ...], tuple[int, ...]]], message: str
) -> None:
    with pytest.raises(InvalidModelError, match=message):
        _place(*operators, outputs=(1,))


def test_a_model_that_ignores_its_inputs_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="depends on its inputs"):
        _place(("ABS", (8,), (1,)), outputs=(1,))


def test_a_variable_is_no_output() -> None:
    operators = [Operator(index=0, name="SVDF", version=1, inputs=(0, 5), outputs=(1,))]

    with pytest.raises(UnsupportedModelError, match="output 't5' is a variable"):
        place(operators, _TENSORS, [0], [1, 5], variables={5})


def test_a_state_that_decides_a_shape_is_refused() -> None:
    operators = [
        Operator(index=0, name="READ_VARIABLE", version=1, inputs=(5,), outputs=(1,)),
        Operator(index=1, name="RESHAPE", version=1, inputs=(0, 1), outputs=(2,)),
    ]

    with pytest.raises(UnsupportedModelError, match="values of tensor 't1' decide the shape"):
        place(operators, _TENSORS, [0], [2], handles={0: frozenset({"variable 'v'"})})


_STATEFUL = [
    ("VAR_HANDLE", (), (5,)),
    ("READ_VARIABLE", (5,), (1,)),
    ("ADD", (0, 1), (2,)),
    ("ASSIGN_VARIABLE", (5, 2), ()),
    ("ABS", (2,), (3,)),
]


def test_what_writes_a_state_is_needed_and_handles_are_copied() -> None:
    numbered = [
        Operator(index=at, name=name, version=1, inputs=inputs, outputs=made)
        for at, (name, inputs, made) in enumerate(_STATEFUL)
    ]
    total = frozenset({"variable 'total'"})

    placement = place(numbered, _TENSORS, [0], [3], handles={1: total, 3: total})

    assert [op.name for op in placement.layers] == [
        "READ_VARIABLE",
        "ADD",
        "ASSIGN_VARIABLE",
        "ABS",
    ]
    assert [op.name for op in placement.copied] == ["VAR_HANDLE"]
    assert placement.bonds == (Bond(what="variable 'total'", first=0, last=2, is_hidden=True),)


def test_without_readers_nothing_is_written() -> None:
    numbered = [
        Operator(index=0, name="VAR_HANDLE", version=1, inputs=(), outputs=(5,)),
        Operator(index=1, name="ASSIGN_VARIABLE", version=1, inputs=(5, 0), outputs=()),
        Operator(index=2, name="ABS", version=1, inputs=(0,), outputs=(1,)),
    ]

    placement = place(numbered, _TENSORS, [0], [1], handles={1: frozenset({"variable 'v'"})})

    assert [op.name for op in placement.layers] == ["ABS"]
    assert placement.bonds == ()


def _relu_pair(kept: int) -> Placement:
    numbered = [
        Operator(index=0, name="RELU", version=1, inputs=(0,), outputs=(1,)),
        Operator(index=1, name="ADD", version=1, inputs=(1, 9), outputs=(2,)),
        Operator(index=2, name="ABS", version=1, inputs=(2,), outputs=(3,)),
    ]
    return place(numbered, _TENSORS, [0, 9], [3, kept], pairs=[(9, kept)])


def test_a_pair_ties_its_readers_to_its_maker() -> None:
    assert _relu_pair(3).bonds == (Bond(what="state 't9'", first=1, last=2, is_hidden=False),)


def test_state_that_is_not_computed_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="'t0' is not computed"):
        _relu_pair(0)
