"""Draws inputs that a model may really get: numbers of its range, and indices that its tables have."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mesh.model import DataType, Model, Operator, TensorSpec
from mesh.runtime.golden import golden_inputs

_FLOATS = frozenset({DataType.FP16, DataType.FP32, DataType.FP64})
_SAMPLES = frozenset({DataType.INT8, DataType.UINT8, DataType.INT16})
# Which input of an operator is the table, which its indices.
_LOOKUPS = {"GATHER": (0, 1), "EMBEDDING_LOOKUP": (1, 0)}
# What indices stay when they go through.
_SAME_VALUES = frozenset({"CAST", "EXPAND_DIMS", "RESHAPE", "SQUEEZE"})

Array = NDArray[Any]


def plausible_inputs(model: Model, seed: int) -> list[Array]:
    """`Model.inputs`: floats uniform in [-1, 1], quantized ones over their range, indices that exist.

    Seed 0 is the mesh's golden input.
    """
    if seed == 0:
        return _golden(model.inputs)
    random = np.random.default_rng(seed)
    return [_draw(model, spec, random) for spec in model.inputs]


def _golden(specs: Sequence[TensorSpec]) -> list[Array]:
    return [
        np.frombuffer(raw, spec.data_type.numpy_name).reshape(spec.shape)
        for spec, raw in zip(specs, golden_inputs(specs), strict=True)
    ]


def _draw(model: Model, spec: TensorSpec, random: np.random.Generator) -> Array:
    dtype = np.dtype(spec.data_type.numpy_name)
    if spec.data_type in _FLOATS:
        return random.uniform(-1, 1, spec.shape).astype(dtype)
    if spec.data_type in _SAMPLES:
        bounds = np.iinfo(dtype)
        return random.integers(bounds.min, bounds.max, spec.shape, endpoint=True).astype(dtype)
    return random.integers(0, _rows(model, spec.index), spec.shape).astype(dtype)


def _rows(model: Model, tensor: int) -> int:
    """How many rows the smallest table has that this tensor is an index into; else 2, as a mask."""
    readers = [operator for operator in model.layers if tensor in operator.reads]
    through = [reader.outputs[0] for reader in readers if reader.name in _SAME_VALUES]
    rows = [_table_rows(model, reader) for reader in readers if _is_index(reader, tensor)]
    return min([*rows, *(_rows(model, made) for made in through)], default=2)


def _is_index(reader: Operator, tensor: int) -> bool:
    return reader.name in _LOOKUPS and reader.inputs[_LOOKUPS[reader.name][1]] == tensor


def _table_rows(model: Model, reader: Operator) -> int:
    table = model.tensors[reader.inputs[_LOOKUPS[reader.name][0]]]
    options = model.root.tables("subgraphs")[0].tables("operators")[reader.index]
    chosen = options.table("builtin_options")
    axis = chosen.integer("axis") if chosen is not None and chosen.name == "GatherOptions" else 0
    return table.shape[axis]
