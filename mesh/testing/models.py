"""Small .tflite models with deterministic weights, for tests and demonstrations: nothing to download."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import get_args

from mesh.testing.graph_models import (
    branches,
    optional_inputs,
    pass_through,
    shared_buffers,
    two_signatures,
)
from mesh.testing.network import IMAGE_RANGE, Network, NumberFormat
from mesh.testing.sequence_models import gated_cell, running_total, transformer, variable_filter

CnnDataType = NumberFormat

_CLASSES = 10
_IMAGE_SIZE = 32


def residual_cnn(data_type: CnnDataType, *, width: int = 8, blocks: int = 3) -> bytes:
    """An image classifier with residual blocks and a second output from the middle.

    Input "image" (1, 32, 32, 3) NHWC; outputs "scores" (1, 10), probabilities, and "boxes"
    (1, 256, 4).
    """
    net = Network(data_type)
    image = net.activation("image", (1, _IMAGE_SIZE, _IMAGE_SIZE, 3), IMAGE_RANGE)
    x = net.convolution("stem", image, width, kernel=3, stride=2, is_rectified=True)
    boxes = -1
    for block in range(blocks):
        x = net.residual_block(f"block{block}", x)
        if block == (blocks - 1) // 2:
            boxes = net.flattened("boxes", net.convolution("boxes/convolution", x, 4, kernel=1))
    logits = net.dense("scores/logits", net.mean("scores", x), _CLASSES, gain=0.5)
    scores = net.softmax("scores/softmax", logits)
    return net.builder.build({"image": image}, {"scores": scores, "boxes": boxes})


def tiny_dense() -> bytes:
    """Input "x" float32 (1, 8), three operators, output "y" (1, 4)."""
    net = Network("float32")
    x = net.activation("x", (1, 8), IMAGE_RANGE)
    hidden = net.dense("hidden", x, 16, gain=1.0, is_rectified=True)
    y = net.softmax("y", net.dense("logits", hidden, 4, gain=1.0))
    return net.builder.build({"x": x}, {"y": y})


GENERATED: Mapping[str, Callable[[], bytes]] = {
    **{f"residual_{name}": partial(residual_cnn, name) for name in get_args(NumberFormat)},
    "branches": branches,
    "dense": tiny_dense,
    "gated_cell": gated_cell,
    "optional_inputs": optional_inputs,
    "pass_through": pass_through,
    "running_total": running_total,
    "shared_buffers": shared_buffers,
    "stateless_cell": partial(gated_cell, declares_state=False),
    "transformer": transformer,
    "two_signatures": two_signatures,
    "variable_filter": variable_filter,
}
"""Every model made here, by name; `exactness` runs them all."""
