"""How fast a mesh of the demo is: medians over its requests, hops between nodes, and tables; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from rich.console import RenderableType

from mesh.cli import figures
from mesh.cli.canvas import Column, table
from mesh.ids import NodeId
from mesh.wire.infer import StageTiming, Timing

_STAGES = (
    Column(title="STAGE", is_number=True),
    Column(title="NODE", flexible=True),
    Column(title="LAYERS", is_number=True),
    Column(title="TAKES IN", is_number=True),
    Column(title="WAITED", is_number=True),
    Column(title="COMPUTED", is_number=True),
)
_SPEEDS = (
    Column(title=""),
    Column(title="ONE BY ONE", is_number=True),
    Column(title="COMPUTING", is_number=True),
    Column(title="HOPS", is_number=True),
    Column(title="PER HOP", is_number=True),
    Column(title="MANY AT ONCE", is_number=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """`timing` is the median of requests sent one at a time; the rate is that of many at once."""

    label: str
    timing: Timing
    hops: int
    requests_per_s: float

    @property
    def compute_s(self) -> float:
        return sum(stage.compute_s for stage in self.timing.stages)

    @property
    def per_hop_s(self) -> float | None:
        """None where nothing travels between nodes."""
        return self.timing.transfer_s / self.hops if self.hops else None


def median_timing(timings: Sequence[Timing]) -> Timing:
    """Of the last plan's requests, should the plan have changed on the way; at least one is needed."""
    last = timings[-1]
    places = [(stage.node, stage.layers) for stage in last.stages]
    alike = [one for one in timings if [(s.node, s.layers) for s in one.stages] == places]
    stages = tuple(
        StageTiming(
            node=stage.node,
            name=stage.name,
            layers=stage.layers,
            queue_s=median(one.stages[i].queue_s for one in alike),
            compute_s=median(one.stages[i].compute_s for one in alike),
        )
        for i, stage in enumerate(last.stages)
    )
    return Timing(
        total_s=median(one.total_s for one in alike),
        transfer_s=median(one.transfer_s for one in alike),
        stages=stages,
    )


def hops(asked: NodeId, timing: Timing) -> int:
    """How often a request goes from one node to another, from the node asked and back to it."""
    way = [asked, *(stage.node for stage in timing.stages), asked]
    return sum(sender != receiver for sender, receiver in pairwise(way))


def stage_table(timing: Timing, received_bytes: Sequence[int]) -> RenderableType:
    """One line a stage; `received_bytes` are the tensors that each takes in."""
    rows = [
        (
            str(i + 1),
            stage.name,
            figures.layers(stage.layers.start, stage.layers.stop),
            figures.size(size_bytes),
            figures.milliseconds(stage.queue_s),
            figures.milliseconds(stage.compute_s),
        )
        for i, (stage, size_bytes) in enumerate(zip(timing.stages, received_bytes, strict=True))
    ]
    return table(_STAGES, rows, indent=2)


def speed_table(speeds: Sequence[Speed]) -> RenderableType:
    rows = [
        (
            speed.label,
            figures.milliseconds(speed.timing.total_s),
            figures.milliseconds(speed.compute_s),
            str(speed.hops),
            figures.milliseconds(speed.per_hop_s),
            figures.rate(speed.requests_per_s),
        )
        for speed in speeds
    ]
    return table(_SPEEDS, rows, indent=2)
