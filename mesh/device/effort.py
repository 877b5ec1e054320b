"""A rough guess of what each layer of a model costs, to choose chunks and to share their times.

Only proportions inside one model matter. Measured times decide everything else.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from mesh.model.model import Model, Operator

_BYTE_EFFORT = 2.0
"""Multiply-accumulates in the time of moving one byte: cores do about 10–20 G/s, caches move 5–10 GB/s."""
_DEPTHWISE_EFFORT = 4.0
"""A depthwise multiply-accumulate takes about four times a dense one: there is less to reuse."""
_CALL_EFFORT = 5000.0
"""What any operator costs for being called: about half a microsecond."""


# Which input is a table, of which they read no more than they give.
_TABLES: Mapping[str, int] = {
    "EMBEDDING_LOOKUP": 1,
    "GATHER": 0,
    "GATHER_ND": 0,
    "SLICE": 0,
    "STRIDED_SLICE": 0,
}


def layer_efforts(model: Model) -> tuple[float, ...]:
    """One number for each layer, in multiply-accumulates of a dense convolution."""
    return tuple(_effort(model, layer) for layer in model.layers)


def _effort(model: Model, layer: Operator) -> float:
    return _CALL_EFFORT + _BYTE_EFFORT * _moved_bytes(model, layer) + _multiplications(model, layer)


def _moved_bytes(model: Model, layer: Operator) -> int:
    given_bytes = sum(model.tensors[index].size_bytes for index in layer.outputs)
    read_bytes = [model.tensors[index].size_bytes if index >= 0 else 0 for index in layer.inputs]
    table = _TABLES.get(layer.name)
    if table is not None and table < len(read_bytes):
        read_bytes[table] = min(read_bytes[table], given_bytes)
    return sum(read_bytes) + given_bytes


def _multiplications(model: Model, layer: Operator) -> float:
    """How often each output element (for TRANSPOSE_CONV each input element) meets a weight."""
    count = _COUNTS.get(layer.name)
    shapes = [model.tensors[index].shape if index >= 0 else () for index in layer.inputs]
    if count is None or len(shapes) < 2 or not layer.outputs:
        return 0.0
    return count(shapes, math.prod(model.tensors[layer.outputs[0]].shape))


_Shapes = Sequence[tuple[int, ...]]

# From the inputs' shapes, as schema.fbs orders them, and the number of output elements.
_COUNTS: Mapping[str, Callable[[_Shapes, int], float]] = {
    "CONV_2D": lambda shapes, outputs: outputs * math.prod(shapes[1][1:]),  # weights OHWI
    "DEPTHWISE_CONV_2D": lambda shapes, outputs: (  # weights 1HWC
        _DEPTHWISE_EFFORT * outputs * math.prod(shapes[1][1:3])
    ),
    "FULLY_CONNECTED": lambda shapes, outputs: outputs * math.prod(shapes[1][-1:]),  # weights OI
    "BATCH_MATMUL": lambda shapes, outputs: outputs * math.prod(shapes[0][-1:]),
    "TRANSPOSE_CONV": lambda shapes, _: (  # weights OHWI, then the input
        math.prod(shapes[2] if len(shapes) > 2 else ()) * math.prod(shapes[1][:3])
    ),
}
