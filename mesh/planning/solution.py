"""The planner's answer as plain values: stages on nodes with their predicted figures."""

import math
from dataclasses import dataclass
from enum import Enum

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange


class BottleneckKind(Enum):
    COMPUTE = "compute"
    PROCESSOR = "processor"
    TRANSFER = "transfer"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """What sets the period.

    The compute of a stage's nodes, their processors (compute and messages), a transfer from
    `node_ids` to `receiver_ids`, or a machine that several share. A free gateway has no id.
    """

    kind: BottleneckKind
    node_ids: tuple[NodeId, ...]
    receiver_ids: tuple[NodeId, ...] = ()

    def __str__(self) -> str:
        names = ", ".join(self.node_ids)
        if self.kind is BottleneckKind.COMPUTE:
            return f"compute on {names}"
        if self.kind is BottleneckKind.PROCESSOR:
            return f"compute and messages on {names}"
        if self.kind is BottleneckKind.TRANSFER:
            return f"transfer {names} → {', '.join(self.receiver_ids)}"
        if len(self.node_ids) == 1:
            return f"stage and gateway together on {names}"
        return f"machine shared by {names}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedReplica:
    """One node of a stage: its `share` of the requests, and what one of them takes it.

    `receive_s` and `send_s` count the slowest peer. `pace_s` is the time between two requests that
    the node could keep alone: the longest of compute, receiving, sending, and processor.
    """

    node_id: NodeId
    share: float
    compute_s: float
    receive_s: float
    send_s: float
    pace_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStage:
    """Layers of the problem (not operators) on one node, or on several that take turns, by node id.

    `period_s` = 1 / Σ (1 / pace of each node).
    """

    layers: LayerRange
    replicas: tuple[PlannedReplica, ...]
    period_s: float

    @property
    def node_ids(self) -> tuple[NodeId, ...]:
        return tuple(replica.node_id for replica in self.replicas)

    @property
    def compute_s(self) -> float:
        """The slowest node's."""
        return max(replica.compute_s for replica in self.replicas)

    @property
    def transfer_s(self) -> float:
        """The slowest way in: from the gateway or the stage before."""
        return max(replica.receive_s for replica in self.replicas)

    @property
    def memory_bytes(self) -> int:
        """What the stage takes on each of its nodes."""
        return max(replica.memory_bytes for replica in self.replicas)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """A plan with its predicted figures.

    `bottleneck_s` is the period: the slowest stage, transfer, or machine shared by several nodes.
    `latency_s` is what every request keeps that does not wait. `optimal` = proven, with `gap` 0; else
    no plan's figure is better by more than that share of this one's (1 = nothing is proven).
    """

    stages: tuple[PlannedStage, ...]
    exit_s: float
    bottleneck_s: float
    latency_s: float
    bottleneck: Bottleneck
    optimal: bool = False
    gap: float = 1.0
    notes: tuple[str, ...] = ()

    @property
    def requests_per_s(self) -> float:
        return 1.0 / self.bottleneck_s if self.bottleneck_s > 0 else math.inf

    @property
    def node_ids(self) -> tuple[NodeId, ...]:
        """All nodes, in the order of the stages."""
        return tuple(node_id for stage in self.stages for node_id in stage.node_ids)
