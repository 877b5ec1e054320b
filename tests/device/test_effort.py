from collections.abc import Sequence

import numpy as np
import pytest

from mesh.device.effort import layer_efforts
from mesh.model.reader import read_model
from mesh.model.table import make_table
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense


def test_every_layer_has_a_positive_effort() -> None:
    for content in (tiny_dense(), residual_cnn("float32"), residual_cnn("int8")):
        model = read_model(content)
        efforts = layer_efforts(model)
        assert len(efforts) == len(model.layers)
        assert min(efforts) > 0


def effort(operator: str, weights: Sequence[int], x: Sequence[int], y: Sequence[int]) -> float:
    """Of one operator with these shapes, less what its bytes and its call count for."""
    options = {
        "CONV_2D": make_table("Conv2DOptions", stride_w=1, stride_h=1),
        "DEPTHWISE_CONV_2D": make_table(
            "DepthwiseConv2DOptions", stride_w=1, stride_h=1, depth_multiplier=1
        ),
        "FULLY_CONNECTED": make_table("FullyConnectedOptions"),
    }
    builder = ModelBuilder()
    inputs = [builder.tensor("x", x), builder.constant("w", np.zeros(weights, np.float32))]
    output = builder.tensor("y", y)
    builder.operator(operator, inputs, [output], options.get(operator))
    model = read_model(builder.build({"x": inputs[0]}, {"y": output}))
    moved_bytes = sum(model.tensors[index].size_bytes for index in (*inputs, output))
    return layer_efforts(model)[0] - 5000 - 2 * moved_bytes


@pytest.mark.parametrize(
    ("operator", "weights", "x", "y", "expected"),
    [
        ("CONV_2D", (8, 3, 3, 4), (1, 5, 5, 4), (1, 5, 5, 8), 25 * 8 * 36),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 4), (1, 5, 5, 4), (1, 5, 5, 4), 4 * 100 * 9),
        ("FULLY_CONNECTED", (8, 16), (1, 16), (1, 8), 8 * 16),
        ("ADD", (1, 16), (1, 16), (1, 16), 0),
    ],
)
def test_multiplications(
    operator: str, weights: Sequence[int], x: Sequence[int], y: Sequence[int], expected: int
) -> None:
    assert effort(operator, weights, x, y) == expected


def test_of_a_table_only_what_is_looked_up_counts() -> None:
    builder = ModelBuilder()
    index = builder.tensor("index", (2,), "int32")
    table = builder.constant("table", np.zeros((1000, 8), np.float32))
    rows = builder.tensor("rows", (2, 8))
    builder.operator("GATHER", [table, index], [rows], make_table("GatherOptions"))
    model = read_model(builder.build({"index": index}, {"rows": rows}))
    rows_bytes, index_bytes = 2 * 8 * 4, 2 * 4
    assert layer_efforts(model) == (5000 + 2 * (2 * rows_bytes + index_bytes),)
