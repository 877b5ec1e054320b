import contextlib
from typing import Any

import pytest

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model import read_model
from mesh.model.decoder import decode
from mesh.model.encoder import encode
from mesh.model.limits import Limits
from mesh.model.model import Operator, Tensor
from mesh.model.table import make_table
from mesh.model.unpacking import check_not_given_out, check_unpacking
from mesh.testing.models import residual_cnn


def _tensor(index: int, shape: tuple[int, ...]) -> Tensor:
    fields: dict[str, Any] = {"size_bytes": 8, "buffer": 0, "data_type": None}
    return Tensor(index=index, name=f"t{index}", type_name="FLOAT16", shape=shape, **fields)


def _check(name: str, *shapes: tuple[int, ...]) -> None:
    operator = Operator(index=2, name=name, version=1, inputs=(0,), outputs=(1,))
    check_unpacking([operator], [_tensor(index, shape) for index, shape in enumerate(shapes)])


def test_only_what_unpacks_keeps_its_shape() -> None:
    _check("DEQUANTIZE", (2, 2), (2, 2))
    _check("RESHAPE", (2, 2), (4,))


@pytest.mark.parametrize("name", ["DENSIFY", "DEQUANTIZE"])
def test_another_shape_is_damage(name: str) -> None:
    with pytest.raises(InvalidModelError, match=r"unpacks 't0' of shape \[2, 2\] into shape \[4\]"):
        _check(name, (2, 2), (4,))


@pytest.mark.parametrize(("name", "is_sound"), [("DEQUANTIZE", False), ("TANH", True)])
def test_unpacked_weights_are_no_output(name: str, is_sound: bool) -> None:
    operator = Operator(index=2, name=name, version=1, inputs=(0,), outputs=(1,))
    tensors = [_tensor(index, (2, 2)) for index in range(2)]

    check_not_given_out([operator], tensors, {0})
    with (
        contextlib.nullcontext()
        if is_sound
        else pytest.raises(
            UnsupportedModelError,
            match=r"output 't1' is constant weights.*operator 2 \(DEQUANTIZE\)",
        )
    ):
        check_not_given_out([operator], tensors, {1})


def test_the_reader_refuses_what_a_delegate_would_read_beyond_its_end() -> None:
    root = decode(memoryview(residual_cnn("fp16")), Limits())
    (subgraph,) = root.tables("subgraphs")
    larger = make_table("Tensor", shape=[8, 4096, 3, 3]).values
    tensors = tuple(
        table.replace(**larger) if table.text("name") == "stem/weights" else table
        for table in subgraph.tables("tensors")
    )

    with pytest.raises(InvalidModelError, match=r"DEQUANTIZE\) unpacks 'stem/weights/fp16'"):
        read_model(encode(root.replace(subgraphs=(subgraph.replace(tensors=tensors),))))
