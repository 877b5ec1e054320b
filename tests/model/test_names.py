import pytest

from mesh.model.model import Tensor
from mesh.model.names import client_names
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


def _names(*signatures: Table) -> tuple[dict[int, str], dict[int, str]]:
    return client_names(make_table("Model", signature_defs=signatures), _TENSORS, [0], [2])


def test_the_signature_names_inputs_and_outputs() -> None:
    assert _names(_signature({"image": 0}, {"scores": 2})) == ({0: "image"}, {2: "scores"})


@pytest.mark.parametrize(
    "signatures",
    [
        [],
        [_signature({"image": 0}, {"other": 1})],
        [_signature({"image": 0, "more": 1}, {"scores": 2})],
        [_signature({"a": 0}, {"b": 2}), _signature({"c": 0}, {"d": 2})],
        [_signature({"image": 0}, {"scores": 2}, subgraph=1)],
    ],
)
def test_without_one_covering_signature_tensors_name_themselves(signatures: list[Table]) -> None:
    assert _names(*signatures) == ({0: "serving_default_x:0"}, {2: "Identity"})


def test_equal_names_are_told_apart() -> None:
    _, outputs = client_names(make_table("Model"), _TENSORS, [0], [2, 3])

    assert outputs == {2: "Identity_2", 3: "Identity_3"}


def test_empty_names_are_filled() -> None:
    assert _names(_signature({"": 0}, {"\x00": 2})) == ({0: "tensor_0"}, {2: "tensor_2"})


def test_names_made_distinct_stay_distinct() -> None:
    tensors = [
        Tensor(index=i, name=n, type_name="", data_type=None, shape=(), size_bytes=0, buffer=0)
        for i, n in enumerate(["a", "a", "a_0"])
    ]

    inputs, _ = client_names(make_table("Model"), tensors, [0, 1, 2], [])

    assert len(set(inputs.values())) == 3
