"""A rough guess of what each layer of a model costs, to choose chunks and to share their times.

Only proportions inside one model matter. Measured times decide everything else.
"""

import math

from mesh.model.model import Model, Operator

_BYTE_EFFORT = 2.0
"""Multiply-accumulates in the time of moving one byte: cores do about 10–20 G/s, caches move 5–10 GB/s."""
_DEPTHWISE_EFFORT = 4.0
"""A depthwise multiply-accumulate takes about four times a dense one: there is less to reuse."""
_CALL_EFFORT = 5000.0
"""What any operator costs for being called: about half a microsecond."""


def layer_efforts(model: Model) -> tuple[float, ...]:
    """One number for each layer, in multiply-accumulates of a dense convolution."""
    return tuple(_effort(model, layer) for layer in model.layers)


def _effort(model: Model, layer: Operator) -> float:
    moved_bytes = sum(model.tensors[index].size_bytes for index in (*layer.reads, *layer.outputs))
    return _CALL_EFFORT + _BYTE_EFFORT * moved_bytes + _multiplications(model, layer)


def _multiplications(model: Model, layer: Operator) -> float:
    """Weights used for each output element, from the shapes that schema.fbs gives each operator."""
    if len(layer.inputs) < 2 or not layer.outputs:
        return 0.0
    weights = _shape(model, layer.inputs[1])
    outputs = math.prod(_shape(model, layer.outputs[0]))
    if layer.name == "CONV_2D":  # weights are OHWI
        return float(outputs * math.prod(weights[1:]))
    if layer.name == "DEPTHWISE_CONV_2D":  # 1HWC
        return _DEPTHWISE_EFFORT * outputs * math.prod(weights[1:3])
    if layer.name == "FULLY_CONNECTED":  # OI
        return float(outputs * math.prod(weights[-1:]))
    if layer.name == "BATCH_MATMUL":  # the inner length is the first factor's last axis
        return float(outputs * math.prod(_shape(model, layer.inputs[0])[-1:]))
    if layer.name == "TRANSPOSE_CONV" and len(layer.inputs) > 2:  # OHWI, for each input element
        pixels = math.prod(_shape(model, layer.inputs[2]))
        return float(pixels * math.prod(weights[:3]))
    return 0.0


def _shape(model: Model, index: int) -> tuple[int, ...]:
    return model.tensors[index].shape if index >= 0 else ()
