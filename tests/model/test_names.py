import pytest

from mesh.model.model import Tensor
from mesh.model.names import MAX_NAME_CHARS, client_names
from mesh.model.table import Table, make_table

_TENSORS = tuple(
    Tensor(
        index=index,
        name=name,
        type_name="FLOAT32",
        data_type=None,
        shape=(),
        size_bytes=4,
        buffer=0,
    )
    for index, name in enumerate(["serving_default_x:0", "hidden", "Identity", "Identity"])
)


def _signature(inputs: dict[str, int], outputs: dict[str, int], subgraph: int = 0) -> Table:
    maps = [
        [make_table("TensorMap", name=name, tensor_index=index) for name, index in side.items()]
        for side in (inputs, outputs)
    ]
    return make_table(
        "SignatureDef", inputs=maps[0], outputs=maps[1], subgraph_index=subgraph or None
    )


def _names(*signatures: Table) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return client_names(make_table("Model", signature_defs=signatures), _TENSORS, [0], [2])


def test_the_signature_names_inputs_and_outputs() -> None:
    assert _names(_signature({"image": 0}, {"scores": 2})) == (("image",), ("scores",))


@pytest.mark.parametrize(
    "signatures",
    [
        [],
        [_signature({"image": 0}, {"other": 1})],
        [_signature({"image": 0, "more": 1}, {"scores": 2})],
        [_signature({"image": 0}, {"scores": 2}, subgraph=1)],
    ],
)
def test_without_one_covering_signature_tensors_name_themselves(signatures: list[Table]) -> None:
    assert _names(*signatures) == (("serving_default_x:0",), ("Identity",))


def test_equal_names_are_told_apart() -> None:
    _, outputs = client_names(make_table("Model"), _TENSORS, [0], [2, 3])

    assert outputs == ("Identity_2", "Identity_3")


def test_empty_names_are_filled() -> None:
    assert _names(_signature({"": 0}, {"\x00": 2})) == (("tensor_0",), ("tensor_2",))


def test_names_made_distinct_stay_distinct() -> None:
    tensors = [
        Tensor(index=i, name=n, type_name="", data_type=None, shape=(), size_bytes=0, buffer=0)
        for i, n in enumerate(["a", "a", "a_0"])
    ]

    inputs, _ = client_names(make_table("Model"), tensors, [0, 1, 2], [])

    assert len(set(inputs)) == 3


def test_of_several_signatures_the_default_counts_else_the_first() -> None:
    first, second = _signature({"a": 0}, {"b": 2}), _signature({"c": 0}, {"d": 2})
    default = second.replace(signature_key=b"serving_default")

    assert _names(first, second) == (("a",), ("b",))
    assert _names(first, default) == (("c",), ("d",))


def test_a_tensor_that_is_an_output_twice_has_two_names() -> None:
    maps = [make_table("TensorMap", name=name, tensor_index=2) for name in ("y", "state")]
    inputs = [make_table("TensorMap", name="x", tensor_index=0)]
    root = make_table(
        "Model", signature_defs=[make_table("SignatureDef", inputs=inputs, outputs=maps)]
    )

    assert client_names(root, _TENSORS, [0], [2, 2])[1] == ("y", "state")
    assert len(set(client_names(make_table("Model"), _TENSORS, [0], [2, 2])[1])) == 2


def test_long_names_are_cut_and_stay_distinct() -> None:
    inputs, _ = _names(_signature({"n" * 4000: 0}, {"y": 2}))

    assert inputs == ("n" * MAX_NAME_CHARS,)
