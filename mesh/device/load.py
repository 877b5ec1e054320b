"""What pieces of a model ask of a processor: effort by kind of operator and number format; no seconds.

Kinds are those that processors run at different speeds. The effort is that of `mesh.device.effort`.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from mesh.device.effort import layer_efforts
from mesh.model.model import Model, Operator

Kind: TypeAlias = tuple[str, str]
"""The operator, as schema.fbs names it, and the number format."""
Load: TypeAlias = Mapping[Kind, float]
"""Effort by kind."""

FORMATS = ("float32", "dynamic", "int8", "int16", "other")
"""Of an operator's activations; "dynamic" is float32 met by int8 weights, "other" e.g. int32, bool."""
MATRIX = "CONV_2D"
VECTOR = "FULLY_CONNECTED"
_LEAST_ROWS = 8
"""From so many rows on, a product reuses its weights, whichever operator it is; kernels take 4 to 16 at once."""
_WEIGHTED = frozenset({MATRIX, VECTOR, "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "BATCH_MATMUL"})
_FORMATS = {"FLOAT32": "float32", "INT8": "int8", "UINT8": "int8", "INT16": "int16"}


def piece_loads(model: Model, boundaries: Sequence[int]) -> tuple[Load, ...]:
    """The load of the layers between neighbouring boundaries."""
    efforts = layer_efforts(model)
    return tuple(
        _summed(
            [(kind_of(model, model.layers[place]), efforts[place]) for place in range(start, stop)]
        )
        for start, stop in pairwise(boundaries)
    )


def kind_of(model: Model, layer: Operator) -> Kind:
    """A product of few rows counts as `VECTOR`, one of many as `MATRIX`, whatever it is called."""
    name = layer.name
    if name in (MATRIX, VECTOR) and layer.outputs:
        rows = math.prod(model.tensors[layer.outputs[0]].shape[:-1])
        name = MATRIX if rows >= _LEAST_ROWS else VECTOR
    return name, _number_format(model, layer)


def _number_format(model: Model, layer: Operator) -> str:
    types = [model.tensors[index].type_name for index in layer.reads]
    active = [model.tensors[index].type_name for index in layer.reads if index in model.activations]
    found = _FORMATS.get((active or types or ["FLOAT32"])[0], "other")
    if found == "float32" and layer.name in _WEIGHTED and "INT8" in types:
        return "dynamic"
    return found


def _summed(parts: Sequence[tuple[Kind, float]]) -> dict[Kind, float]:
    total: dict[Kind, float] = {}
    for kind, effort in parts:
        total[kind] = total.get(kind, 0.0) + effort
    return total
