"""What runtimes hold beside a model's file and its activations: packed weights, unpacked ones, tables.

The rules were found by measuring on x86-64 with XNNPACK on (`python -m bench.memory`), where they
predict a stage's private memory within some per cent; with XNNPACK off they are a bound.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mesh.model.model import Model, Operator
from mesh.model.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelMemory:
    """How one runtime uses memory.

    `delegates_quantized`: XNNPACK takes 8-bit operators and weights too, not only float ones.
    `keeps_unpacked`: fp16 weights unpacked to float32 stay beside their packed copy.
    `reuses_low_room`: activations are placed wherever there is room, also below all that live.
    """

    delegates_quantized: bool
    keeps_unpacked: bool
    reuses_low_room: bool


KERNEL_MEMORY: Mapping[str, KernelMemory] = {
    "litert": KernelMemory(delegates_quantized=True, keeps_unpacked=False, reuses_low_room=True),
    "tflite": KernelMemory(delegates_quantized=False, keeps_unpacked=True, reuses_low_room=False),
}
"""By `RuntimeInfo.name`: LiteRT 2.3 and tflite-runtime 2.14."""

_LAYER_BYTES = 8192
"""Objects of one operator in XNNPACK: measured 7.3 kB on chains of 1,200 operators."""
_PLAIN_LAYER_BYTES = 2048
_POINTER_BYTES = 8
_INDEX_BYTES = 4  # TfLiteIntArray
_SUM_BYTES = 4
_CHANNEL_BYTES = 48
"""Scales, sums and offsets: measured on chains of hybrid convolutions."""
# Which inputs XNNPACK packs where they are constants: weights and bias.
_WEIGHTS: Mapping[str, tuple[int, ...]] = {
    "BATCH_MATMUL": (1,),
    "CONV_2D": (1, 2),
    "DEPTHWISE_CONV_2D": (1, 2),
    "FULLY_CONNECTED": (1, 2),
    "TRANSPOSE_CONV": (1, 3),
}
_FLOATS = frozenset({"FLOAT16", "FLOAT32"})
_BYTES = frozenset({"INT8", "UINT8"})
_Shape = tuple[int, ...]


def is_delegated(model: Model, layer: Operator, kernels: KernelMemory) -> bool:
    """Whether XNNPACK runs this layer, as far as its types say."""
    kinds = _FLOATS | _BYTES if kernels.delegates_quantized else _FLOATS
    weights = [layer.inputs[place] for place in _WEIGHTS.get(layer.name, ())[:1]]
    used = (*weights, *layer.outputs)
    return all(model.tensors[index].type_name in kinds for index in used if index >= 0)


def prepared_bytes(
    model: Model, layers: Sequence[Operator], copies: Sequence[Operator], kernels: KernelMemory
) -> int:
    """What is made of weights and shapes when the slice is loaded, and stays."""
    delegated = [layer for layer in layers if is_delegated(model, layer, kernels)]
    indices = {layer.index for layer in delegated}
    packed = {tensor for layer in delegated for tensor in _constant_weights(model, layer)}
    unpacked = {tensor for copy in copies for tensor in copy.outputs}
    passing = _passing(copies, packed) if not kernels.keeps_unpacked else frozenset()
    return (
        _size_bytes(model, packed)
        + _size_bytes(model, unpacked - passing)
        + max((model.tensors[index].size_bytes for index in passing), default=0)
        + sum(table_bytes(model, layer) for layer in delegated)
        + _LAYER_BYTES * len(delegated)
        + _PLAIN_LAYER_BYTES * (len(layers) - len(delegated) + len(copies))
        + sum(_channels_bytes(model, layer) for layer in layers if layer.index not in indices)
    )


def _channels_bytes(model: Model, layer: Operator) -> int:
    """What a product of floats with 8-bit weights keeps for each channel outside XNNPACK."""
    kinds = [model.tensors[index].type_name for index in (*layer.reads[1:2], *layer.outputs[:1])]
    if layer.name not in _WEIGHTS or kinds[0] not in _BYTES or kinds[-1] not in _FLOATS:
        return 0
    return _CHANNEL_BYTES * math.prod(model.tensors[layer.outputs[0]].shape[-1:])


def _passing(copies: Sequence[Operator], packed: set[int]) -> frozenset[int]:
    """What is unpacked into one buffer after the other, packed, and forgotten."""
    made = (out for copy in copies if copy.name == "DEQUANTIZE" for out in copy.outputs)
    return frozenset(packed.intersection(made))


def _constant_weights(model: Model, layer: Operator) -> list[int]:
    places = [place for place in _WEIGHTS.get(layer.name, ()) if place < len(layer.inputs)]
    inputs = (layer.inputs[place] for place in places)
    return [index for index in inputs if index >= 0 and index not in model.activations]


def table_bytes(model: Model, layer: Operator) -> int:
    """XNNPACK's indirection buffer: a pointer for each input pixel that an output pixel looks at."""
    shapes = [model.tensors[index].shape if index >= 0 else () for index in layer.inputs]
    out = model.tensors[layer.outputs[0]].shape if layer.outputs else ()
    if not shapes or len(shapes[0]) != 4 or len(out) != 4:
        return 0
    return _POINTER_BYTES * _pointers(layer.name, shapes, out)


def _pointers(name: str, shapes: Sequence[_Shape], out: _Shape) -> int:
    """From shapes NHWC; weights OHWI, of a depthwise convolution 1HWC."""
    pixels = out[1] * out[2]
    if name == "RESIZE_BILINEAR":
        return 5 * pixels  # four neighbours, and two weights in float32
    if name in {"MAX_POOL_2D", "AVERAGE_POOL_2D"}:
        return 4 * pixels
    if name not in _WEIGHTS or len(shapes) < 2 or len(shapes[1]) != 4:
        return 0
    height, width = shapes[1][1:3]
    if name == "DEPTHWISE_CONV_2D":
        # Neighbours in a row share their pointers, but for the columns that a stride skips.
        stride = max(1, round(shapes[0][2] / max(1, out[2])))
        return out[1] * height * (width + (out[2] - 1) * min(width, stride))
    return 0 if _is_pointwise(shapes, out) else height * width * pixels


def scratch_bytes(model: Model, layer: Operator, kernels: KernelMemory) -> int:
    """What a product with 8-bit weights needs outside XNNPACK: both sides reordered, and sums."""
    if layer.name not in _WEIGHTS or is_delegated(model, layer, kernels):
        return 0
    weights, result = model.tensors[layer.reads[1]], model.tensors[layer.outputs[0]]
    if weights.type_name not in _BYTES or result.type_name == "INT16":
        return 0
    needed = weights.size_bytes + _SUM_BYTES * math.prod(result.shape)
    needed += max(math.prod(model.tensors[layer.reads[0]].shape), _patch_bytes(model, layer))
    return 2 * needed  # buffers grow by doubling


def _patch_bytes(model: Model, layer: Operator) -> int:
    """A convolution's input, each pixel as often as an output pixel looks at it (im2col)."""
    shapes = [model.tensors[index].shape for index in layer.reads]
    out = model.tensors[layer.outputs[0]].shape
    if layer.name != "CONV_2D" or len(shapes[1]) != 4 or len(out) != 4:
        return 0
    return 0 if _is_pointwise(shapes, out) else out[1] * out[2] * math.prod(shapes[1][1:])


def _is_pointwise(shapes: Sequence[_Shape], out: _Shape) -> bool:
    return shapes[1][1:3] == (1, 1) and shapes[0][1:3] == out[1:3]


def sparse_index_bytes(model: Model, tensors: Iterable[int]) -> tuple[int, int]:
    """The indices of sparse weights: as the file holds them, and as a runtime copies them."""
    tables = model.root.tables("subgraphs")[0].tables("tensors")
    vectors = [vector for index in tensors for vector in _index_vectors(tables[index])]
    raw = [vector.raw("values") for vector in vectors]
    return sum(map(len, raw)), sum(_INDEX_BYTES * _count(vector) for vector in vectors)


def _index_vectors(tensor: Table) -> list[Table]:
    sparsity = tensor.table("sparsity")
    dimensions = sparsity.tables("dim_metadata") if sparsity is not None else ()
    vectors = (
        one.table(name) for one in dimensions for name in ("array_segments", "array_indices")
    )
    return [vector for vector in vectors if vector is not None]


def _count(vector: Table) -> int:
    return len(vector.raw("values")) // {"Uint8Vector": 1, "Uint16Vector": 2}.get(vector.name, 4)


def _size_bytes(model: Model, tensors: Iterable[int]) -> int:
    return sum(model.tensors[index].size_bytes for index in tensors)
