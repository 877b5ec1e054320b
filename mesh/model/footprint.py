"""Predicts what a range of layers takes in memory: its weights, what is made of them, activations."""

from collections.abc import Mapping
from dataclasses import dataclass

from mesh.model.arena import ends_bytes, inner_bytes
from mesh.model.kernel_memory import (
    KERNEL_MEMORY,
    KernelMemory,
    is_delegated,
    prepared_bytes,
    scratch_bytes,
    sparse_index_bytes,
)
from mesh.model.model import Model, Operator
from mesh.model.slicer import SliceContent, slice_content
from mesh.model.tensor import LayerRange


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMemory:
    """Private memory of one stage's process beside that of an interpreter without a model.

    `weight_bytes`: the slice file's weights, whose pages the runtime reads. `packed_bytes`: what
    it makes of them when it loads. `arena_bytes`: activations and scratch at their peak, inputs
    and outputs kept throughout. `shared_bytes`: inputs and outputs once more, where the daemon reads and
    writes them.
    """

    weight_bytes: int
    packed_bytes: int
    arena_bytes: int
    shared_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.weight_bytes + self.packed_bytes + self.arena_bytes + self.shared_bytes


def stage_memory(model: Model, layers: LayerRange, *, runtime: str | None = None) -> StageMemory:
    """What a stage of these layers needs in the runtime of that name (`RuntimeInfo.name`).

    With None, or a name not known here, in the one of the known runtimes that takes most.
    Raises: UnsupportedModelError when the range does not start and stop at legal cuts.
    """
    memories = stage_memories(model, layers)
    return memories.get(runtime or "") or max(
        memories.values(), key=lambda memory: memory.total_bytes
    )


def stage_memories(model: Model, layers: LayerRange) -> Mapping[str, StageMemory]:
    """What a stage of these layers needs in each runtime that is known, by name.

    Raises: UnsupportedModelError when the range does not start and stop at legal cuts.
    """
    content = slice_content(model, layers)
    return {name: _memory(model, content, kernels) for name, kernels in KERNEL_MEMORY.items()}


def weight_bytes(model: Model, layers: LayerRange) -> int:
    """Bytes of the buffers that the slice carries, each shared one once, with sparse ones' indices.

    Raises: UnsupportedModelError when the range does not start and stop at legal cuts.
    """
    return _weight_bytes(model, slice_content(model, layers))


def _memory(model: Model, content: SliceContent, kernels: KernelMemory) -> StageMemory:
    layers = [operator for operator in content.operators if _is_layer(model, operator)]
    copies = [operator for operator in content.operators if not _is_layer(model, operator)]
    delegated = {layer.index for layer in layers if is_delegated(model, layer, kernels)}
    ends = ends_bytes(content, model)
    scratch = max((scratch_bytes(model, layer, kernels) for layer in layers), default=0)
    return StageMemory(
        weight_bytes=_weight_bytes(model, content),
        packed_bytes=prepared_bytes(model, layers, copies, kernels)
        + sparse_index_bytes(model, content.tensors)[1],
        arena_bytes=ends + inner_bytes(content, model, delegated, kernels) + scratch,
        shared_bytes=ends,
    )


def _is_layer(model: Model, operator: Operator) -> bool:
    return model.activations.issuperset(operator.outputs)


def _weight_bytes(model: Model, content: SliceContent) -> int:
    buffers = (model.buffers[index] for index in content.buffers)
    in_buffers = sum(len(buffer) for buffer in buffers if buffer is not None)
    return in_buffers + sparse_index_bytes(model, content.tensors)[0]
