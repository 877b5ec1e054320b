"""What runtimes make of weights and shapes."""

import numpy as np
import pytest

from mesh.model import Model, Operator, read_model
from mesh.model.kernel_memory import (
    KERNEL_MEMORY,
    is_delegated,
    prepared_bytes,
    scratch_bytes,
    sparse_index_bytes,
    table_bytes,
)
from mesh.model.table import make_table
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn
from mesh.testing.network import NumberFormat

LITERT, TFLITE = KERNEL_MEMORY["litert"], KERNEL_MEMORY["tflite"]


def _layer(model: Model, name: str) -> Operator:
    return next(layer for layer in model.layers if layer.name == name)


def _one_conv(kernel: int, stride: int) -> Model:
    builder = ModelBuilder()
    x = builder.tensor("x", (1, 16, 16, 4))
    y = builder.tensor("y", (1, 16 // stride, 16 // stride, 8))
    weights = builder.constant("w", np.ones((8, kernel, kernel, 4), np.float32))
    options = make_table("Conv2DOptions", stride_w=stride, stride_h=stride)
    builder.operator("CONV_2D", [x, weights, -1], [y], options)
    return read_model(builder.build({"x": x}, {"y": y}))


@pytest.mark.parametrize(
    ("kernel", "stride", "pointers"), [(1, 1, 0), (1, 2, 64), (3, 1, 9 * 256), (3, 2, 9 * 64)]
)
def test_a_convolution_has_a_pointer_for_each_pixel_it_looks_at(
    kernel: int, stride: int, pointers: int
) -> None:
    model = _one_conv(kernel, stride)
    assert table_bytes(model, model.layers[0]) == 8 * pointers


def test_operators_without_neighbours_have_no_table() -> None:
    model = read_model(residual_cnn("float32"))
    for name in ("ADD", "FULLY_CONNECTED", "MEAN", "SOFTMAX"):
        assert table_bytes(model, _layer(model, name)) == 0
    assert table_bytes(model, _layer(model, "DEPTHWISE_CONV_2D")) == 8 * 16 * 3 * (3 + 15)


@pytest.mark.parametrize(
    ("number_format", "in_litert", "in_tflite"),
    [
        ("float32", True, True),
        ("fp16", True, True),
        ("int8", True, False),
        ("dynamic", True, False),
        ("int16x8", False, False),
    ],
)
def test_which_convolutions_are_delegated(
    number_format: NumberFormat, in_litert: bool, in_tflite: bool
) -> None:
    model = read_model(residual_cnn(number_format))
    layer = _layer(model, "CONV_2D")
    assert is_delegated(model, layer, LITERT) == in_litert
    assert is_delegated(model, layer, TFLITE) == in_tflite


def test_weights_are_packed_once_each() -> None:
    model = _one_conv(3, 1)
    weights = 8 * 3 * 3 * 4 * 4
    once = prepared_bytes(model, model.layers, (), LITERT)
    twice = prepared_bytes(model, (*model.layers, *model.layers), (), LITERT)
    assert weights < once < twice < once + weights + 8 * 9 * 256 + 8193


def test_products_outside_xnnpack_need_scratch() -> None:
    int8, int16 = read_model(residual_cnn("int8")), read_model(residual_cnn("int16x8"))
    assert scratch_bytes(int8, _layer(int8, "CONV_2D"), LITERT) == 0
    # 16 × 16 patches of 3 × 3 × 3, sums of 4 bytes, the weights: and twice.
    assert scratch_bytes(int8, _layer(int8, "CONV_2D"), TFLITE) == 2 * (
        256 * 27 + 4 * 256 * 8 + 8 * 27
    )
    assert scratch_bytes(int16, _layer(int16, "CONV_2D"), TFLITE) == 0
    assert scratch_bytes(int8, _layer(int8, "ADD"), TFLITE) == 0


def test_sparse_indices_are_copied_wider() -> None:
    dense, sparse = read_model(residual_cnn("float32")), read_model(residual_cnn("sparse"))
    assert sparse_index_bytes(dense, range(len(dense.tensors))) == (0, 0)
    in_file, in_memory = sparse_index_bytes(sparse, range(len(sparse.tensors)))
    assert 0 < in_file <= in_memory
