"""Estimates what a range of layers takes in memory: its weights and its activations."""

from mesh.model.model import Model
from mesh.model.slicer import SliceContent, slice_content
from mesh.model.tensor import LayerRange

_ARENA_ALIGN_BYTES = 64  # TFLite's arena places tensors at multiples of this


def weight_bytes(model: Model, layers: LayerRange) -> int:
    """Bytes of the buffers that the slice carries, each shared one once.

    Raises: UnsupportedModelError when the range does not start and stop at legal cuts.
    """
    buffers = (model.buffers[index] for index in slice_content(model, layers).buffers)
    return sum(len(content) for content in buffers if content is not None)


def arena_bytes(model: Model, layers: LayerRange) -> int:
    """Peak of the tensors that the slice computes with, its inputs and outputs kept throughout.

    Copied operators' tensors (unpacked weights) are kept throughout too. The scratch of single
    kernels and a packing delegate's copies of weights come on top.
    Raises: UnsupportedModelError when the range does not start and stop at legal cuts.
    """
    content = slice_content(model, layers)
    first, last = _lifetimes(content, model)
    changes: dict[int, int] = {}
    for tensor, start in first.items():
        size_bytes = _aligned(model.tensors[tensor].size_bytes)
        changes[start] = changes.get(start, 0) + size_bytes
        changes[last[tensor] + 1] = changes.get(last[tensor] + 1, 0) - size_bytes
    peak_bytes = now_bytes = 0
    for step in sorted(changes):
        now_bytes += changes[step]
        peak_bytes = max(peak_bytes, now_bytes)
    return peak_bytes


def _lifetimes(content: SliceContent, model: Model) -> tuple[dict[int, int], dict[int, int]]:
    """First and last operator of the slice during which each tensor holds memory."""
    end = len(content.operators)
    kept = {spec.index for spec in (*content.interface.consumed, *content.interface.produced)}
    kept |= {tensor for op in content.operators for tensor in op.outputs} - model.activations
    first = {spec.index: 0 for spec in content.interface.consumed}
    last: dict[int, int] = {}
    for at, operator in enumerate(content.operators):
        for tensor in operator.outputs:
            first[tensor] = 0 if tensor in kept else at
        last |= {tensor: at for tensor in (*operator.reads, *operator.outputs) if tensor in first}
    return first, last | {tensor: end for tensor in kept if tensor in first}


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ARENA_ALIGN_BYTES) * _ARENA_ALIGN_BYTES
