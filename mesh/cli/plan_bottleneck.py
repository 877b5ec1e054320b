"""Where in a plan its bottleneck sits, and how long a request keeps each node: what drawings mark; pure."""

from dataclasses import dataclass
from enum import Enum

from mesh.ids import NodeId
from mesh.wire.planned import PlannedNode, PlanOption


class Column(Enum):
    COMPUTE = "compute"
    WAY_IN = "way in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """`node_ids` of stage `stage`, None = of any stage; a stage behind the last one is the way out."""

    column: Column
    stage: int | None
    node_ids: frozenset[NodeId]

    def hits(self, stage: int, node_id: NodeId) -> bool:
        """Whether a line of a stage is marked."""
        return self.stage in (None, stage) and node_id in self.node_ids

    def is_way_out(self, option: PlanOption) -> bool:
        return self.stage == len(option.stages)


def mark_of(option: PlanOption, gateway: NodeId | None) -> Mark:
    """A kind that is not known here marks its nodes' compute. None: the gateway is anywhere."""
    if option.bottleneck_kind != "transfer":
        ids = frozenset(option.bottleneck_nodes)
        return Mark(column=Column.COMPUTE, stage=None, node_ids=ids)
    stage = _receiving_stage(option, gateway)
    receivers = frozenset(option.bottleneck_receivers)
    return Mark(column=Column.WAY_IN, stage=stage, node_ids=receivers)


def _receiving_stage(option: PlanOption, gateway: NodeId | None) -> int:
    """The stage whose way in it is; the gateway may have a stage as well."""
    ids = [{one.node_id for one in stage.replicas} for stage in option.stages]
    senders, receivers = set(option.bottleneck_nodes), set(option.bottleneck_receivers)
    ends = set() if gateway is None else {gateway}
    if receivers == ends and senders <= ids[-1]:
        return len(ids)
    between = (i for i in range(1, len(ids)) if senders <= ids[i - 1] and receivers <= ids[i])
    return next(between, 0)


def occupied_s(node: PlannedNode) -> float:
    """How long one request keeps a node's processor: its compute, or its messages with it if that is longer."""
    links_s = max(node.receive_s, node.send_s)
    return node.pace_s if node.pace_s > max(node.compute_s, links_s) else node.compute_s
