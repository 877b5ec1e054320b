"""What a node says about itself: each document is the whole truth of its kind and replaces the last.

Control state is level-triggered: a reader that missed ten versions acts rightly on the eleventh.
"""

import re
from dataclasses import dataclass
from enum import Enum

from mesh.ids import BootId, Epoch, ModelId, NodeId, PlanId
from mesh.wire.beliefs import LinkPace, NodePace
from mesh.wire.measured import MAX_CORES, check_times

MAX_DOCUMENT_BYTES = 1 << 20
_MAX_OPERATORS = 1024
_MAX_OPERATOR_VERSION = 255
MAX_BAR_CHARS = 512
MAX_PROBLEM_CHARS = 2048
MAX_STAGES = 256
MAX_REPLICAS = 64
_MAX_PLAN_REPLICAS = 1024
MAX_PLAN_REASON_CHARS = 512
_SHARE_TOLERANCE = 1e-6
_MAX_OWNER_CHARS = 64
_MAX_WARNINGS = 16
_MAX_WARNING_CHARS = 512
_PLAN_ID = re.compile(r"[0-9a-f]{16}")


class NodeState(Enum):
    INIT = "init"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advert:
    """What hardly changes while a node runs: of all this, only `host_cores` may, with its CPU quota.

    `threads` is the most that an interpreter gets. `operator_versions[n]` is the newest version that
    the runtime knows of builtin operator n of schema.fbs, 0 = none; empty where it was not said.
    `owner` is whose node it is; empty = nobody's.
    """

    node_id: NodeId
    boot_id: BootId
    name: str
    mesh_name: str
    version: str
    board: str
    board_label: str
    runtime: str
    runtime_version: str
    kernel_class: str
    broker_url: str
    broker_kind: str
    http_url: str
    host_id: str
    host_cores: float
    threads: int
    memory_bytes: int
    operator_versions: tuple[int, ...] = ()
    owner: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.host_cores <= MAX_CORES or self.threads < 1 or self.memory_bytes < 0:
            raise ValueError("a node has cores, threads and no negative memory")
        if len(self.operator_versions) > _MAX_OPERATORS:
            raise ValueError(f"there are at most {_MAX_OPERATORS} operators")
        if not all(0 <= version <= _MAX_OPERATOR_VERSION for version in self.operator_versions):
            raise ValueError(f"an operator's version lies between 0 and {_MAX_OPERATOR_VERSION}")
        if len(self.owner) > _MAX_OWNER_CHARS:
            raise ValueError(f"an owner's name has at most {_MAX_OWNER_CHARS} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Something that takes a while: "fetching", "measuring", "loading", with how far it is."""

    kind: str
    model_name: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStats:
    """One model's requests as this node's gateway saw them.

    The rate is of the last ten seconds, the percentiles of the last minute; `answered` and `failed`
    count since the node started.
    """

    model_id: ModelId
    requests_per_s: float
    p50_s: float | None
    p95_s: float | None
    answered: int
    failed: int
    in_flight: int
    queued: int
    sessions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Sent every `heartbeat_s`; as the will, with state "lost", by the broker.

    `lease_term` and `lease_holder` are the coordinator's lease as this node sees it.
    """

    boot_id: BootId
    sequence: int
    state: NodeState
    lease_term: int = 0
    lease_holder: NodeId | None = None
    load_1min: float | None = None
    temperature_c: float | None = None
    memory_available_bytes: int | None = None
    throttled: bool | None = None
    activities: tuple[Activity, ...] = ()
    gateway: tuple[GatewayStats, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.warnings) > _MAX_WARNINGS:
            raise ValueError(f"a node has at most {_MAX_WARNINGS} warnings")
        if any(len(warning) > _MAX_WARNING_CHARS for warning in self.warnings):
            raise ValueError(f"a warning has at most {_MAX_WARNING_CHARS} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Somebody whom this node hears: lets nodes that mDNS does not join find each other."""

    node_id: NodeId
    broker_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersDocument:
    peers: tuple[Peer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingsDocument:
    """The models whose whole file this node has, checked against their content id."""

    held: tuple[ModelId, ...]


class StageState(Enum):
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    """A stage that this node holds or tried to; equal (plan_id, stage) is the same stage.

    `measured_compute_s` is the median of its last runs, None before there are any.
    """

    plan_id: PlanId
    epoch: Epoch
    model_id: ModelId
    stage: int
    state: StageState
    resident_bytes: int = 0
    error: str | None = None
    measured_compute_s: float | None = None

    def __post_init__(self) -> None:
        if self.measured_compute_s is not None:
            check_times("a stage's measured time", (self.measured_compute_s,))


@dataclass(frozen=True, slots=True, kw_only=True)
class StagesDocument:
    stages: tuple[StageStatus, ...]


class PlanPhase(Enum):
    PREPARING = "preparing"
    LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReplica:
    """One node of a stage: the share of the requests meant for it, and its predicted seconds.

    `transfer_s` is the slowest way in, from any node of the stage before or from the gateway.
    """

    node_id: NodeId
    share: float
    compute_s: float
    transfer_s: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError("a replica's share of the requests lies above 0 and up to 1")
        check_times("a time of a replica", (self.compute_s, self.transfer_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStage:
    """The operators [start, stop) on one node, or on several of which each takes a share of the requests."""

    start: int
    stop: int
    replicas: tuple[PlanReplica, ...]

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError("a plan's stage needs operators")
        if not 1 <= len(self.replicas) <= MAX_REPLICAS:
            raise ValueError(f"a plan's stage has 1 to {MAX_REPLICAS} replicas")
        if len(set(self.node_ids)) < len(self.replicas):
            raise ValueError("each replica of a plan's stage is on another node")
        if abs(sum(replica.share for replica in self.replicas) - 1) > _SHARE_TOLERANCE:
            raise ValueError("the shares of a plan's stage come to 1")

    @property
    def node_ids(self) -> tuple[NodeId, ...]:
        return tuple(replica.node_id for replica in self.replicas)

    @property
    def compute_s(self) -> float:
        """Of the slowest replica."""
        return max(replica.compute_s for replica in self.replicas)

    @property
    def transfer_s(self) -> float:
        """The slowest way in."""
        return max(replica.transfer_s for replica in self.replicas)

    def replica_on(self, node_id: NodeId) -> PlanReplica | None:
        """The part of a node in this stage; None where it has none."""
        return next((one for one in self.replicas if one.node_id == node_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who runs what of one model, with the figures that the planner promised.

    `gap` bounds what a better plan could save of `bottleneck_s`, as a share of it: 0 for an optimal
    one. `reason` says why this epoch was proposed.
    """

    plan_id: PlanId
    epoch: Epoch
    model_id: ModelId
    phase: PlanPhase
    stages: tuple[PlanStage, ...]
    bottleneck_s: float
    bottleneck: str
    latency_s: float
    single_node: NodeId | None
    single_node_s: float | None
    verdict: str
    optimal: bool = True
    gap: float = 0.0
    reason: str = ""

    def __post_init__(self) -> None:
        if not _PLAN_ID.fullmatch(self.plan_id) or self.epoch < 0:
            raise ValueError("a plan needs an id of 16 hexadecimal digits and no negative epoch")
        if not 1 <= len(self.stages) <= MAX_STAGES:
            raise ValueError(f"a plan has 1 to {MAX_STAGES} stages")
        if sum(len(stage.replicas) for stage in self.stages) > _MAX_PLAN_REPLICAS:
            raise ValueError(f"a plan has at most {_MAX_PLAN_REPLICAS} replicas in all")
        if self.bottleneck_s <= 0 or self.latency_s < 0:
            raise ValueError("a plan needs a positive bottleneck and no negative latency")
        if not 0 <= self.gap <= 1:
            raise ValueError("a plan's gap lies between 0 and 1")
        if len(self.reason) > MAX_PLAN_REASON_CHARS:
            raise ValueError(f"a plan's reason has at most {MAX_PLAN_REASON_CHARS} characters")

    @property
    def node_ids(self) -> tuple[NodeId, ...]:
        """The nodes of all stages, each once, in order."""
        return tuple(dict.fromkeys(n for stage in self.stages for n in stage.node_ids))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanProblem:
    """Why a model has no plan, or no better one."""

    model_id: ModelId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BarredNode:
    """A node that is left out of a model for a while, since it failed with it."""

    model_id: ModelId
    node_id: NodeId
    reason: str

    def __post_init__(self) -> None:
        if len(self.reason) > MAX_BAR_CHARS:
            raise ValueError(f"a reason has at most {MAX_BAR_CHARS} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlansDocument:
    """What the coordinator decided under its lease; said by others, it is their last known state."""

    lease_term: int
    plans: tuple[Plan, ...]
    problems: tuple[PlanProblem, ...] = ()
    barred: tuple[BarredNode, ...] = ()
    paces: tuple[NodePace, ...] = ()
    link_paces: tuple[LinkPace, ...] = ()
