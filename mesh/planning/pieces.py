"""A model as the planner sees it: pieces between the cut points worth considering, as numbers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mesh.device.load import Load, piece_loads
from mesh.model import CutPoint, Model, cut_points, stage_interface, stage_memories
from mesh.model.kernel_memory import KERNEL_MEMORY
from mesh.model.tensor import LayerRange, TensorSpec

MAX_PIECES = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceMemory:
    """What one runtime holds, in parts whose sum bounds what a stage takes.

    `piece_bytes[i]` = weights, what is made of them, and explicit state; `stage_bytes` = the whole
    model's inner activations at their peak, of which a stage has only its own. A stage's inputs and
    outputs come on top twice: in its arena, and shared with the daemon.
    """

    piece_bytes: tuple[int, ...]
    stage_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """`boundaries[i]` is the operator at which piece i starts; the last one is the model's end.

    `boundary_bytes` has one entry per boundary (the request at 0, the reply at the end), `memory`
    one per runtime by its name, `loads` one per piece: what it asks of a processor.
    """

    boundaries: tuple[int, ...]
    boundary_bytes: tuple[int, ...]
    memory: Mapping[str, PieceMemory]
    loads: tuple[Load, ...] = ()

    def __len__(self) -> int:
        return len(self.boundaries) - 1

    def layer_range(self, pieces: LayerRange) -> LayerRange:
        """The operators of consecutive pieces."""
        return LayerRange(start=self.boundaries[pieces.start], stop=self.boundaries[pieces.stop])

    def memory_in(self, runtimes: Collection[str]) -> PieceMemory:
        """What is enough in each of these runtimes; in any, where one is not known."""
        are_known = runtimes and self.memory.keys() >= set(runtimes)
        chosen = [self.memory[name] for name in (set(runtimes) if are_known else self.memory)]
        return PieceMemory(
            piece_bytes=tuple(map(max, zip(*(one.piece_bytes for one in chosen), strict=True))),
            stage_bytes=max(one.stage_bytes for one in chosen),
        )


def pieces_of(model: Model, *, max_boundary_bytes: int) -> Pieces:
    """Divide at every legal cut that fits a message; of more than `MAX_PIECES` − 1 at the cheapest."""
    cuts = _worthwhile([cut for cut in cut_points(model) if cut.live_bytes <= max_boundary_bytes])
    boundaries = (0, *(cut.layer for cut in cuts), len(model.layers))
    everything = LayerRange(start=0, stop=len(model.layers))
    whole = stage_interface(model, everything)
    return Pieces(
        boundaries=boundaries,
        boundary_bytes=(
            _size_bytes(whole.received),
            *(cut.live_bytes for cut in cuts),
            _size_bytes(whole.sent),
        ),
        memory=_memory(model, boundaries),
        loads=piece_loads(model, boundaries),
    )


def _memory(model: Model, boundaries: Sequence[int]) -> dict[str, PieceMemory]:
    ranges = [LayerRange(start=start, stop=stop) for start, stop in pairwise(boundaries)]
    pieces = [stage_memories(model, layers) for layers in ranges]
    kept = [_state_bytes(model, layers) for layers in ranges]
    whole = stage_memories(model, LayerRange(start=0, stop=len(model.layers)))
    return {
        runtime: PieceMemory(
            piece_bytes=tuple(
                one[runtime].weight_bytes + one[runtime].packed_bytes + state_bytes
                for one, state_bytes in zip(pieces, kept, strict=True)
            ),
            stage_bytes=memory.arena_bytes - memory.shared_bytes + _spare_bytes(model, runtime),
        )
        for runtime, memory in whole.items()
    }


def _state_bytes(model: Model, layers: LayerRange) -> int:
    """Explicit state is an input and an output of its piece, though it crosses no boundary."""
    pairs = stage_interface(model, layers).state
    return 2 * sum(pair.input.size_bytes + pair.output.size_bytes for pair in pairs)


def _spare_bytes(model: Model, runtime: str) -> int:
    """What activations of a stage may take beyond the whole's, where they are placed badly."""
    if KERNEL_MEMORY[runtime].reuses_low_room:
        return 0
    return max(model.tensors[index].size_bytes for index in model.activations)


def _worthwhile(cuts: Sequence[CutPoint]) -> list[CutPoint]:
    cheapest = sorted(cuts, key=lambda cut: (cut.live_bytes, cut.layer))[: MAX_PIECES - 1]
    return sorted(cheapest, key=lambda cut: cut.layer)


def _size_bytes(tensors: Sequence[TensorSpec]) -> int:
    return sum(tensor.size_bytes for tensor in tensors)
