import numpy as np
import pytest

from mesh.errors import UnsupportedModelError
from mesh.model import LayerRange, arena_bytes, read_model, weight_bytes
from mesh.model.table import make_table
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn


def _chain() -> bytes:
    """Four operators over tensors of 64, 128, 64, 64 and 64 floats."""
    builder = ModelBuilder()
    x, a, b, c, y = (
        builder.tensor(name, (1, size))
        for name, size in zip("xabcy", (64, 128, 64, 64, 64), strict=True)
    )
    half = builder.constant("half", np.zeros((64, 128), np.float32))
    double = builder.constant("double", np.zeros((128, 64), np.float32))
    builder.operator("FULLY_CONNECTED", [x, double, -1], [a], make_table("FullyConnectedOptions"))
    builder.operator("FULLY_CONNECTED", [a, half, -1], [b], make_table("FullyConnectedOptions"))
    builder.operator("RELU", [b], [c])
    builder.operator("ABS", [c], [y])
    return builder.build({"x": x}, {"y": y})


def test_weights_are_counted_where_they_are_used() -> None:
    model = read_model(_chain())
    weights = 128 * 64 * 4

    assert weight_bytes(model, LayerRange(start=0, stop=1)) == weights
    assert weight_bytes(model, LayerRange(start=0, stop=4)) == 2 * weights
    assert weight_bytes(model, LayerRange(start=2, stop=4)) == 0


def test_the_arena_holds_what_lives_at_once() -> None:
    model = read_model(_chain())

    # The input and the output are kept: x, a, b and y when b is made.
    assert arena_bytes(model, LayerRange(start=0, stop=4)) == 4 * (64 + 128 + 64 + 64)
    assert arena_bytes(model, LayerRange(start=3, stop=4)) == 4 * (64 + 64)


def test_unpacked_weights_count_in_the_arena() -> None:
    float32, fp16 = read_model(residual_cnn("float32")), read_model(residual_cnn("fp16"))
    whole = LayerRange(start=0, stop=len(fp16.layers))

    added_bytes = arena_bytes(fp16, whole) - arena_bytes(float32, whole)

    assert added_bytes >= 2 * weight_bytes(fp16, whole) - 64
    assert weight_bytes(fp16, whole) < weight_bytes(float32, whole)


def test_a_range_that_is_no_stage_is_refused() -> None:
    with pytest.raises(UnsupportedModelError):
        arena_bytes(read_model(_chain()), LayerRange(start=2, stop=9))
