"""Computes what `random_graphs` draws, in NumPy: a way to run slices that no interpreter can fool.

It knows few operators, no fused activations, and only float32.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mesh.model import Model, Operator

Array = NDArray[Any]
_Kernel = Callable[..., Array]

_KERNELS: Mapping[str, _Kernel] = {
    "ABS": np.abs,
    "ADD": np.add,
    "DEQUANTIZE": lambda x: x.astype(np.float32),
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
    "MUL": np.multiply,
    "NEG": np.negative,
    "RELU": lambda x: np.maximum(x, np.float32(0)),
    "SQUARE": np.square,
    "SUB": np.subtract,
    "CONCATENATION": lambda *parts: np.concatenate(parts, axis=-1),
}


def evaluate(model: Model, inputs: Sequence[Array]) -> list[Array]:
    """The outputs for these inputs, both in the file's order."""
    held: dict[int, Array] = {
        spec.index: content for spec, content in zip(model.graph_inputs, inputs, strict=True)
    }
    for operator in model.operators:
        reads = [_content(model, held, tensor) for tensor in operator.inputs]
        held.update(zip(operator.outputs, _compute(operator, reads), strict=True))
    return [held[spec.index] for spec in model.graph_outputs]


def _content(model: Model, held: Mapping[int, Array], tensor: int) -> Array | None:
    if tensor in held or tensor < 0:
        return held.get(tensor)
    described = model.tensors[tensor]
    dtype = {"FLOAT16": "<f2", "FLOAT32": "<f4", "INT32": "<i4"}[described.type_name]
    raw = model.buffers[described.buffer]
    return np.frombuffer(b"" if raw is None else raw, dtype).reshape(described.shape)


def _compute(operator: Operator, reads: Sequence[Array | None]) -> list[Array]:
    given = [read for read in reads if read is not None]
    if operator.name == "SPLIT":
        axis, x = given
        return np.split(x, len(operator.outputs), axis=int(axis))
    if operator.name == "FULLY_CONNECTED":
        # Row by row: BLAS may sum in another order for the same numbers elsewhere in memory.
        x, weights, *bias = given
        return [np.stack([_dot(x, row) for row in weights], axis=-1) + sum(bias)]
    return [_KERNELS[operator.name](*given)]


def _dot(x: Array, row: Array) -> Array:
    total: Array = np.add.reduce(x * row, axis=-1)
    return total
