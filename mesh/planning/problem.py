"""The planner's question as plain numbers: nodes, layers, links; nothing of TFLite or MQTT.

"Layer i" here is the i-th piece between neighbouring cut points that the planner may use, so a
problem of L layers has L + 1 boundaries: 0 is the request, L the reply.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange


class Objective(Enum):
    THROUGHPUT = "throughput"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanNode:
    """One candidate: `layer_s[i]` seconds for layer i, plus `stage_s` once per stage (copies, calls).

    `host_id` is shared by nodes on one machine, whose `host_cores` they share.
    """

    node_id: NodeId
    layer_s: tuple[float, ...]
    stage_s: float
    memory_bytes: int
    threads: int = 1
    host_id: str = ""
    host_cores: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLink:
    """One direction between two nodes: a frame of n bytes takes `message_s + n / goodput_bytes_per_s`."""

    goodput_bytes_per_s: float
    message_s: float

    def transfer_s(self, size_bytes: int) -> float:
        return self.message_s + size_bytes / self.goodput_bytes_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """`boundary_bytes[b]` crosses boundary b; a node without a link to another cannot send to it.

    A node hands over to itself for free. `stage_memory_bytes` is what a stage needs beside its
    layers' `layer_memory_bytes` (interpreter, arena). `gateway` sends the request and gets the
    reply. `min_stages` > 1 forces a pipeline. A problem checks itself: ValueError.
    """

    nodes: tuple[PlanNode, ...]
    layer_memory_bytes: tuple[int, ...]
    boundary_bytes: tuple[int, ...]
    links: Mapping[tuple[NodeId, NodeId], PlanLink]
    gateway: NodeId
    stage_memory_bytes: int = 0
    min_stages: int = 1
    max_stages: int | None = None
    latency_bound_s: float = math.inf
    objective: Objective = Objective.THROUGHPUT

    @property
    def layers(self) -> int:
        return len(self.layer_memory_bytes)


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
    `optimal` is False only where the search ended by budget.
    """

    stages: tuple[PlannedStage, ...]
    exit_s: float
    bottleneck_s: float
    latency_s: float
    bottleneck: str
    optimal: bool = True
    notes: tuple[str, ...] = field(default=())

    @property
    def requests_per_s(self) -> float:
        return 1.0 / self.bottleneck_s
