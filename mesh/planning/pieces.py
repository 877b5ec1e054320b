"""A model as the planner sees it: pieces between the cut points worth considering, as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mesh.model import CutPoint, Model, arena_bytes, cut_points, stage_interface, weight_bytes
from mesh.model.tensor import LayerRange, TensorSpec

MAX_PIECES = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """`boundaries[i]` is the operator at which piece i starts; the last one is the model's end.

    `boundary_bytes` has one entry per boundary (the request at 0, the reply at the end), the other
    tuples one per piece. `arena_bytes` is what a stage needs beside its weights, at the most: the
    whole model's arena, with unpacked weights, of which a stage has only its own.
    """

    boundaries: tuple[int, ...]
    boundary_bytes: tuple[int, ...]
    weight_bytes: tuple[int, ...]
    arena_bytes: int

    def layer_range(self, pieces: LayerRange) -> LayerRange:
        """The operators of consecutive pieces."""
        return LayerRange(start=self.boundaries[pieces.start], stop=self.boundaries[pieces.stop])


def pieces_of(model: Model, *, max_boundary_bytes: int) -> Pieces:
    """Divide at every legal cut that fits a message; of more than `MAX_PIECES` − 1 at the cheapest."""
    cuts = _worthwhile([cut for cut in cut_points(model) if cut.live_bytes <= max_boundary_bytes])
    boundaries = (0, *(cut.layer for cut in cuts), len(model.layers))
    ranges = [LayerRange(start=start, stop=stop) for start, stop in pairwise(boundaries)]
    everything = LayerRange(start=0, stop=len(model.layers))
    whole = stage_interface(model, everything)
    return Pieces(
        boundaries=boundaries,
        boundary_bytes=(
            _size_bytes(whole.received),
            *(cut.live_bytes for cut in cuts),
            _size_bytes(whole.sent),
        ),
        weight_bytes=tuple(weight_bytes(model, one) for one in ranges),
        arena_bytes=arena_bytes(model, everything),
    )


def _worthwhile(cuts: Sequence[CutPoint]) -> list[CutPoint]:
    cheapest = sorted(cuts, key=lambda cut: (cut.live_bytes, cut.layer))[: MAX_PIECES - 1]
    return sorted(cheapest, key=lambda cut: cut.layer)


def _size_bytes(tensors: Sequence[TensorSpec]) -> int:
    return sum(tensor.size_bytes for tensor in tensors)
