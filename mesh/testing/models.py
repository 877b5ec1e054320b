"""Small .tflite models with deterministic weights, for tests and demonstrations: nothing to download."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mesh.model.table import Table, make_table
from mesh.testing.model_builder import ModelBuilder

CnnDataType = Literal["float32", "int8", "fp16"]

_SEED = 20240229
_RELU6 = 3  # schema.fbs, ActivationFunctionType
_CLASSES = 10
_IMAGE_SIZE = 32
# (scale, zero_point) of int8 tensors: the image lies in [-1, 1], RELU6 gives [0, 6], and sums
# without it stay within [-8, 8] because weights are scaled by their fan-in.
_IMAGE_RANGE = (2 / 255, 0)
_RELU6_RANGE = (6 / 255, -128)
_LINEAR_RANGE = (8 / 127, 0)
_SOFTMAX_RANGE = (1 / 256, -128)  # the only output range that the int8 kernel takes


def residual_cnn(data_type: CnnDataType, *, width: int = 8, blocks: int = 3) -> bytes:
    """An image classifier with residual blocks and a second output from the middle.

    Input "image" (1, 32, 32, 3) NHWC; outputs "scores" (1, 10), probabilities, and "boxes"
    (1, 256, 4). "fp16" holds its weights as float16 behind DEQUANTIZE and computes in float32.
    """
    net = _Network(data_type)
    image = net.activation("image", (1, _IMAGE_SIZE, _IMAGE_SIZE, 3), _IMAGE_RANGE)
    x = net.convolution("stem", image, width, kernel=3, stride=2, is_rectified=True)
    boxes = -1
    for block in range(blocks):
        x = net.residual_block(f"block{block}", x)
        if block == (blocks - 1) // 2:
            boxes = net.box_head(x)
    scores = net.class_head(x)
    return net.builder.build({"image": image}, {"scores": scores, "boxes": boxes})


def tiny_dense() -> bytes:
    """Input "x" float32 (1, 8), three operators, output "y" (1, 4)."""
    net = _Network("float32")
    x = net.activation("x", (1, 8), _IMAGE_RANGE)
    hidden = net.dense("hidden", x, 16, gain=1.0, is_rectified=True)
    logits = net.dense("logits", hidden, 4, gain=1.0)
    y = net.activation("y", (1, 4), _SOFTMAX_RANGE)
    net.builder.operator("SOFTMAX", [logits], [y], make_table("SoftmaxOptions", beta=1.0))
    return net.builder.build({"x": x}, {"y": y})


class _Network:
    """Adds layers to a model under way, in the operator versions that its data type needs."""

    def __init__(self, data_type: CnnDataType) -> None:
        self.builder = ModelBuilder()
        self._data_type = data_type
        self._random = np.random.default_rng(_SEED)
        self._shapes: dict[int, tuple[int, ...]] = {}
        self._scales: dict[int, float] = {}

    def activation(self, name: str, shape: tuple[int, ...], levels: tuple[float, int]) -> int:
        is_int8 = self._data_type == "int8"
        tensor = self.builder.tensor(
            name, shape, "int8" if is_int8 else "float32", quantization=levels if is_int8 else None
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
        self.builder.operator("CONV_2D", inputs, [y], options, version=self._version(3))
        return y

    def depthwise(self, name: str, x: int) -> int:
        shape = self._shapes[x]
        weights = self._random_weights((1, 3, 3, shape[3]), 9)
        inputs = [x, *self._parameters(name, x, weights, shape[3])]
        y = self._output(name, shape, is_rectified=True)
        options = _options(
            "DepthwiseConv2DOptions", True, stride_w=1, stride_h=1, depth_multiplier=1
        )
        self.builder.operator("DEPTHWISE_CONV_2D", inputs, [y], options, version=self._version(3))
        return y

    def dense(
        self, name: str, x: int, units: int, *, gain: float, is_rectified: bool = False
    ) -> int:
        depth = self._shapes[x][-1]
        weights = gain * self._random_weights((units, depth), depth)
        inputs = [x, *self._parameters(name, x, weights, units)]
        y = self._output(name, (1, units), is_rectified=is_rectified)
        options = _options("FullyConnectedOptions", is_rectified)
        self.builder.operator("FULLY_CONNECTED", inputs, [y], options, version=self._version(4))
        return y

    def residual_block(self, name: str, x: int) -> int:
        y = self.depthwise(f"{name}/depthwise", x)
        y = self.convolution(f"{name}/pointwise", y, self._shapes[x][3], kernel=1)
        total = self._output(f"{name}/add", self._shapes[x], is_rectified=True)
        options = _options("AddOptions", True)
        self.builder.operator("ADD", [x, y], [total], options, version=self._version(2))
        return total

    def box_head(self, x: int) -> int:
        y = self.convolution("boxes/convolution", x, 4, kernel=1)
        _, height, width, depth = self._shapes[y]
        shape = np.array([1, height * width, depth], np.int32)
        boxes = self.activation("boxes/reshape", (1, height * width, depth), _LINEAR_RANGE)
        target = self.builder.constant("boxes/shape", shape)
        options = make_table("ReshapeOptions", new_shape=shape.tolist())
        self.builder.operator("RESHAPE", [y, target], [boxes], options)
        return boxes

    def class_head(self, x: int) -> int:
        depth = self._shapes[x][3]
        mean = self.activation("scores/mean", (1, depth), _RELU6_RANGE)
        axes = self.builder.constant("scores/axes", np.array([1, 2], np.int32))
        options = make_table("ReducerOptions", keep_dims=False)
        self.builder.operator("MEAN", [x, axes], [mean], options, version=self._version(2))
        logits = self.dense("scores/logits", mean, _CLASSES, gain=0.5)
        scores = self.activation("scores/softmax", (1, _CLASSES), _SOFTMAX_RANGE)
        options = make_table("SoftmaxOptions", beta=1.0)
        self.builder.operator("SOFTMAX", [logits], [scores], options, version=self._version(2))
        return scores

    def _output(self, name: str, shape: tuple[int, ...], *, is_rectified: bool) -> int:
        return self.activation(name, shape, _RELU6_RANGE if is_rectified else _LINEAR_RANGE)

    def _version(self, int8_version: int) -> int:
        return int8_version if self._data_type == "int8" else 1

    def _random_weights(self, shape: tuple[int, ...], fan_in: int) -> NDArray[np.float32]:
        """Uniform weights of variance 2 / fan_in (He et al. 2015), which keep activations' size."""
        bound = (6 / fan_in) ** 0.5
        return self._random.uniform(-bound, bound, shape).astype(np.float32)

    def _parameters(
        self, name: str, x: int, weights: NDArray[np.float32], channels: int
    ) -> tuple[int, int]:
        """The weights and the bias as this data type holds them."""
        bias = self._random.uniform(-0.1, 0.4, channels).astype(np.float32)
        if self._data_type == "fp16":
            return self._unpacked(f"{name}/weights", weights), self._unpacked(f"{name}/bias", bias)
        if self._data_type == "float32":
            return (
                self.builder.constant(f"{name}/weights", weights),
                self.builder.constant(f"{name}/bias", bias),
            )
        scale = float(np.abs(weights).max()) / 127
        bias_scale = scale * self._scales[x]  # TFLite's 8-bit specification: bias = input × weights
        quantized = np.round(weights / scale).astype(np.int8)
        quantized_bias = np.round(bias / bias_scale).astype(np.int32)
        return (
            self.builder.constant(f"{name}/weights", quantized, quantization=(scale, 0)),
            self.builder.constant(f"{name}/bias", quantized_bias, quantization=(bias_scale, 0)),
        )

    def _unpacked(self, name: str, content: NDArray[np.float32]) -> int:
        packed = self.builder.constant(f"{name}/fp16", content.astype(np.float16))
        y = self.builder.tensor(name, content.shape)
        options = make_table("DequantizeOptions")
        self.builder.operator("DEQUANTIZE", [packed], [y], options, version=3)
        return y


def _options(name: str, is_rectified: bool, **fields: int) -> Table:
    activation = _RELU6 if is_rectified else 0
    return make_table(name, fused_activation_function=activation, **fields)
