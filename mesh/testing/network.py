"""Adds layers to a small model under way, in one of the ways that converters store numbers.

Which layers make which model is not decided here.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mesh.model.table import Table, make_table
from mesh.testing.model_builder import ModelBuilder, per_channel

NumberFormat = Literal["float32", "int8", "int16x8", "fp16", "dynamic", "sparse"]
"""How weights and activations are stored; what a converter calls it, and what it does:

"fp16": float16 weights behind DEQUANTIZE; "sparse": float32 ones behind DENSIFY; both compute in
float32. "dynamic": int8 weights, float32 activations. "int8": both int8. "int16x8": int8 weights,
int16 activations, int64 biases.
"""

IMAGE_RANGE = (2 / 255, 0)
"""(scale, zero_point) as int8 holds an image in [-1, 1]."""
RELU6_RANGE = (6 / 255, -128)
LINEAR_RANGE = (8 / 127, 0)
"""Sums without RELU6 stay within [-8, 8] because weights are scaled by their fan-in."""
SOFTMAX_RANGE = (1 / 256, -128)
"""The only output range that the int8 kernel takes."""

_SEED = 20240229
_RELU6 = 3  # schema.fbs, ActivationFunctionType
_KEPT_SHARE = 0.4  # of the weights of a sparse model
_SOFTMAX_INT16 = (1 / 32768, 0)  # the only one that the int16 kernel takes
_CONV_VERSIONS = {"int8": 3, "int16x8": 4, "dynamic": 2}
_DEPTHWISE_VERSIONS = {"int8": 3, "int16x8": 5, "dynamic": 6}
_DENSE_VERSIONS = {"int8": 4, "int16x8": 7, "dynamic": 9}
_OTHER_VERSIONS = {"int8": 2, "int16x8": 3}


class Network:
    """Methods return the tensor that they make; weights are drawn in order, always the same."""

    def __init__(self, number_format: NumberFormat) -> None:
        self.builder = ModelBuilder()
        self._format = number_format
        self._random = np.random.default_rng(_SEED)
        self._shapes: dict[int, tuple[int, ...]] = {}
        self._scales: dict[int, float] = {}

    def activation(self, name: str, shape: tuple[int, ...], levels: tuple[float, int]) -> int:
        """`levels` = (scale, zero_point) as int8 has it; int16 spans the same range."""
        if self._format == "int16x8":
            levels = _int16_levels(levels)
        dtype = {"int8": "int8", "int16x8": "int16"}.get(self._format, "float32")
        tensor = self.builder.tensor(
            name, shape, dtype, quantization=None if dtype == "float32" else levels
        )
        self._shapes[tensor], self._scales[tensor] = shape, levels[0]
        return tensor

    def convolution(
        self,
        name: str,
        x: int,
        channels: int,
        *,
        kernel: int,
        stride: int = 1,
        is_rectified: bool = False,
    ) -> int:
        _, height, width, depth = self._shapes[x]
        weights = self._random_weights((channels, kernel, kernel, depth), kernel**2 * depth)
        inputs = [x, *self._parameters(name, x, weights, channels)]
        shape = (1, height // stride, width // stride, channels)
        y = self._output(name, shape, is_rectified=is_rectified)
        options = _options("Conv2DOptions", is_rectified, stride_w=stride, stride_h=stride)
        self.builder.operator(
            "CONV_2D", inputs, [y], options, version=_CONV_VERSIONS.get(self._format, 1)
        )
        return y

    def depthwise(self, name: str, x: int, *, stride: int = 1) -> int:
        _, height, width, depth = self._shapes[x]
        weights = self._random_weights((1, 3, 3, depth), 9)
        inputs = [x, *self._parameters(name, x, weights, depth, axis=3)]
        shape = (1, height // stride, width // stride, depth)
        y = self._output(name, shape, is_rectified=True)
        options = _options(
            "DepthwiseConv2DOptions", True, stride_w=stride, stride_h=stride, depth_multiplier=1
        )
        version = _DEPTHWISE_VERSIONS.get(self._format, 1)
        self.builder.operator("DEPTHWISE_CONV_2D", inputs, [y], options, version=version)
        return y

    def dense(
        self, name: str, x: int, units: int, *, gain: float, is_rectified: bool = False
    ) -> int:
        depth = self._shapes[x][-1]
        weights = gain * self._random_weights((units, depth), depth)
        # One scale for all: runtime 2.14 takes no other of int8 weights that meet float32.
        inputs = [x, *self._parameters(name, x, weights, units, axis=None)]
        shape = (*self._shapes[x][:-1], units)
        y = self._output(name, shape, is_rectified=is_rectified)
        keep = {"keep_num_dims": True} if len(shape) > 2 else {}
        options = _options("FullyConnectedOptions", is_rectified, **keep)
        version = _DENSE_VERSIONS.get(self._format, 1 if len(shape) == 2 else 5)
        self.builder.operator("FULLY_CONNECTED", inputs, [y], options, version=version)
        return y

    def add(self, name: str, x: int, y: int, *, is_rectified: bool = True) -> int:
        total = self._output(name, self._shapes[x], is_rectified=is_rectified)
        # schema.fbs: the default, true, would ask for scales that are powers of two.
        plain = {"pot_scale_int16": False} if self._format == "int16x8" else {}
        options = _options("AddOptions", is_rectified, **plain)
        self.builder.operator("ADD", [x, y], [total], options, version=self._version())
        return total

    def residual_block(self, name: str, x: int) -> int:
        y = self.depthwise(f"{name}/depthwise", x)
        y = self.convolution(f"{name}/pointwise", y, self._shapes[x][3], kernel=1)
        return self.add(f"{name}/add", x, y)

    def max_pool(self, name: str, x: int) -> int:
        """Over 3 × 3, every second row and column; levels stay as they are."""
        _, height, width, depth = self._shapes[x]
        y = self.activation(name, (1, height // 2, width // 2, depth), RELU6_RANGE)
        options = make_table(
            "Pool2DOptions", stride_w=2, stride_h=2, filter_width=3, filter_height=3
        )
        self.builder.operator("MAX_POOL_2D", [x], [y], options, version=self._version())
        return y

    def flattened(self, name: str, x: int) -> int:
        """(1, height, width, depth) as (1, height × width, depth)."""
        _, height, width, depth = self._shapes[x]
        shape = np.array([1, height * width, depth], np.int32)
        y = self.activation(f"{name}/reshape", (1, height * width, depth), LINEAR_RANGE)
        target = self.builder.constant(f"{name}/shape", shape)
        options = make_table("ReshapeOptions", new_shape=shape.tolist())
        self.builder.operator("RESHAPE", [x, target], [y], options)
        return y

    def mean(self, name: str, x: int) -> int:
        """Over height and width."""
        y = self.activation(f"{name}/mean", (1, self._shapes[x][3]), RELU6_RANGE)
        axes = self.builder.constant(f"{name}/axes", np.array([1, 2], np.int32))
        options = make_table("ReducerOptions", keep_dims=False)
        self.builder.operator("MEAN", [x, axes], [y], options, version=self._version())
        return y

    def softmax(self, name: str, x: int) -> int:
        y = self.activation(name, self._shapes[x], SOFTMAX_RANGE)
        options = make_table("SoftmaxOptions", beta=1.0)
        self.builder.operator("SOFTMAX", [x], [y], options, version=self._version())
        return y

    def _output(self, name: str, shape: tuple[int, ...], *, is_rectified: bool) -> int:
        return self.activation(name, shape, RELU6_RANGE if is_rectified else LINEAR_RANGE)

    def _version(self) -> int:
        return _OTHER_VERSIONS.get(self._format, 1)

    def _random_weights(self, shape: tuple[int, ...], fan_in: int) -> NDArray[np.float32]:
        """Uniform weights of variance 2 / fan_in (He et al. 2015), which keep activations' size."""
        bound = (6 / fan_in) ** 0.5
        return self._random.uniform(-bound, bound, shape).astype(np.float32)

    def _parameters(
        self,
        name: str,
        x: int,
        weights: NDArray[np.float32],
        channels: int,
        *,
        axis: int | None = 0,
    ) -> tuple[int, int]:
        """The weights and the bias as this format holds them; `axis` may have a scale for each index."""
        bias = self._random.uniform(-0.1, 0.4, channels).astype(np.float32)
        at, bias_at = f"{name}/weights", f"{name}/bias"
        if self._format == "fp16":
            return self._from_half(at, weights), self._from_half(bias_at, bias)
        if self._format == "sparse":
            return self._from_sparse(at, weights), self.builder.constant(bias_at, bias)
        if self._format == "float32":
            return self.builder.constant(at, weights), self.builder.constant(bias_at, bias)
        if self._format == "dynamic":
            return self._dynamic(at, weights, axis), self.builder.constant(bias_at, bias)
        scale = float(np.abs(weights).max()) / 127
        bias_scale = scale * self._scales[x]  # TFLite's 8-bit specification: bias = input × weights
        quantized = np.round(weights / scale).astype(np.int8)
        bias_type = np.int32 if self._format == "int8" else np.int64
        quantized_bias = np.round(bias / bias_scale).astype(bias_type)
        return (
            self.builder.constant(at, quantized, quantization=(scale, 0)),
            self.builder.constant(bias_at, quantized_bias, quantization=(bias_scale, 0)),
        )

    def _dynamic(self, name: str, weights: NDArray[np.float32], axis: int | None) -> int:
        others = tuple(at for at in range(weights.ndim) if at != axis)
        scales = np.abs(weights).max(axis=others, keepdims=True) / 127
        content = np.round(weights / scales).astype(np.int8)
        quantization = per_channel(scales.reshape(-1), axis or 0)
        return self.builder.constant(name, content, quantization=quantization)

    def _from_half(self, name: str, content: NDArray[np.float32]) -> int:
        packed = self.builder.constant(f"{name}/fp16", content.astype(np.float16))
        y = self.builder.tensor(name, content.shape)
        options = make_table("DequantizeOptions")
        self.builder.operator("DEQUANTIZE", [packed], [y], options, version=3)
        return y

    def _from_sparse(self, name: str, content: NDArray[np.float32]) -> int:
        bound = np.quantile(np.abs(content), 1 - _KEPT_SHARE)
        values, sparsity = sparse_rows(np.where(np.abs(content) > bound, content, np.float32(0)))
        packed = self.builder.constant(
            f"{name}/sparse", values, shape=content.shape, sparsity=sparsity
        )
        y = self.builder.tensor(name, content.shape)
        self.builder.operator("DENSIFY", [packed], [y], make_table("DensifyOptions"))
        return y


def sparse_rows(content: NDArray[np.float32]) -> tuple[NDArray[np.float32], Table]:
    """What is not zero, and where: the last axis compressed, the others dense.

    schema.fbs, SparsityParameters: the format of "The Tensor Algebra Compiler" (Kjolstad et al.).
    """
    rows = content.reshape(-1, content.shape[-1])
    segments = np.concatenate([[0], np.cumsum(np.count_nonzero(rows, axis=1))])
    dense = [make_table("DimensionMetadata", dense_size=size) for size in content.shape[:-1]]
    compressed = make_table(
        "DimensionMetadata",
        format=1,  # SPARSE_CSR
        array_segments_type=1,
        array_segments=make_table("Int32Vector", values=segments.tolist()),
        array_indices_type=1,
        array_indices=make_table("Int32Vector", values=np.nonzero(rows)[1].tolist()),
    )
    order = list(range(content.ndim))
    table = make_table(
        "SparsityParameters", traversal_order=order, dim_metadata=[*dense, compressed]
    )
    return rows[rows != 0], table


def _int16_levels(levels: tuple[float, int]) -> tuple[float, int]:
    """Symmetric int16 levels over the range that these int8 levels have."""
    if levels == SOFTMAX_RANGE:
        return _SOFTMAX_INT16
    scale, zero_point = levels
    return scale * max(128 + zero_point, 127 - zero_point) / 32767, 0


def _options(name: str, is_rectified: bool, **fields: int) -> Table:
    activation = _RELU6 if is_rectified else 0
    return make_table(name, fused_activation_function=activation, **fields)
