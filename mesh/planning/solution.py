"""The planner's answer as plain values: stages on nodes with their predicted figures."""

import math
from dataclasses import dataclass
from enum import Enum

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange


class BottleneckKind(Enum):
    COMPUTE = "compute"
    TRANSFER = "transfer"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """What sets the period: one node's compute, a transfer (sender, receiver), or a shared machine."""

    kind: BottleneckKind
    node_ids: tuple[NodeId, ...]

    def __str__(self) -> str:
        if self.kind is BottleneckKind.COMPUTE:
            return f"compute on {self.node_ids[0]}"
        if self.kind is BottleneckKind.TRANSFER:
            return f"transfer {self.node_ids[0]} → {self.node_ids[1]}"
        return f"machine shared by {', '.join(self.node_ids)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """Layers of the problem (not operators) on one node, with what they are expected to cost.

    `transfer_s` is the way in: from the gateway or the stage before.
    """

    node_id: NodeId
    layers: LayerRange
    compute_s: float
    transfer_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A pipeline with its predicted figures.

    `bottleneck_s` is the period: the slowest stage, transfer, or machine shared by several nodes.
    `optimal` is False for a plan that was given, and where a shared machine sets the period, since
    the search does not know of it.
    """

    stages: tuple[PlannedStage, ...]
    exit_s: float
    bottleneck_s: float
    latency_s: float
    bottleneck: Bottleneck
    optimal: bool = False
    notes: tuple[str, ...] = ()

    @property
    def requests_per_s(self) -> float:
        return 1.0 / self.bottleneck_s if self.bottleneck_s > 0 else math.inf

    @property
    def node_ids(self) -> tuple[NodeId, ...]:
        return tuple(stage.node_id for stage in self.stages)
