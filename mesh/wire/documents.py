"""What a node says about itself: each document is the whole truth of its kind and replaces the last.

Control state is level-triggered: a reader that missed ten versions acts rightly on the eleventh.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from mesh.ids import BootId, Epoch, ModelId, NodeId, PlanId

MAX_DOCUMENT_BYTES = 1 << 20
MAX_TIME_S = 86_400.0
"""No stage or transfer takes a day: sums and products of such times stay what a clock can wait for."""
_GOODPUT_BYTES_PER_S = (1.0, 1e15)
_MAX_OPERATORS = 1024
_MAX_OPERATOR_VERSION = 255
_MAX_REFUSED = 64
_MAX_REASON_CHARS = 512
MAX_BAR_CHARS = 512
MAX_PROBLEM_CHARS = 2048
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
    """What does not change while a node runs.

    `threads` is the most that an interpreter gets. `operator_versions[n]` is the newest version that
    the runtime knows of builtin operator n of schema.fbs, 0 = none; empty where it was not said.
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
    host_cores: int
    threads: int
    memory_bytes: int
    operator_versions: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.host_cores < 1 or self.threads < 1 or self.memory_bytes < 0:
            raise ValueError("a node has cores, threads and no negative memory")
        if len(self.operator_versions) > _MAX_OPERATORS:
            raise ValueError(f"there are at most {_MAX_OPERATORS} operators")
        if not all(0 <= version <= _MAX_OPERATOR_VERSION for version in self.operator_versions):
            raise ValueError(f"an operator's version lies between 0 and {_MAX_OPERATOR_VERSION}")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedLayers:
    """The layers [start, stop) that a node's runtime cannot load, and why."""

    start: int
    stop: int
    reason: str

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError("refused layers are some layers")
        if len(self.reason) > _MAX_REASON_CHARS:
            raise ValueError(f"a reason has at most {_MAX_REASON_CHARS} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityDocument:
    """A node's measured time for one model: `layer_s[i]` for the operators [boundaries[i], boundaries[i+1]).

    None = its runtime cannot load them; `refused` says why, as far as there is room. `failure` says
    why it cannot run the model at all; then the lists are empty.
    """

    model_id: ModelId
    kernel_class: str
    threads: int
    boundaries: tuple[int, ...]
    layer_s: tuple[float | None, ...]
    stage_s: float
    failure: str | None = None
    refused: tuple[RefusedLayers, ...] = ()

    def __post_init__(self) -> None:
        if self.failure is None and len(self.layer_s) != len(self.boundaries) - 1:
            raise ValueError("there must be one boundary more than layer times")
        if self.threads < 1:
            raise ValueError("a model is measured with at least one thread")
        if len(self.refused) > _MAX_REFUSED:
            raise ValueError(f"at most {_MAX_REFUSED} ranges of layers are refused")
        times_s = [time_s for time_s in self.layer_s if time_s is not None]
        _check_times("a measured time", (self.stage_s, *times_s, sum(times_s)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One direction, from the node that says so to `peer`, measured with frames over MQTT."""

    peer: NodeId
    goodput_bytes_per_s: float
    message_s: float

    def __post_init__(self) -> None:
        least, most = _GOODPUT_BYTES_PER_S
        if not least <= self.goodput_bytes_per_s <= most:
            raise ValueError(
                f"a link's goodput lies between {least:g} and {most:g} bytes per second"
            )
        _check_times("a link's time per message", (self.message_s,))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksDocument:
    links: tuple[Link, ...]


class StageState(Enum):
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    """A stage that this node holds or tried to; equal (plan_id, stage) is the same stage."""

    plan_id: PlanId
    epoch: Epoch
    model_id: ModelId
    stage: int
    state: StageState
    resident_bytes: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StagesDocument:
    stages: tuple[StageStatus, ...]


class PlanPhase(Enum):
    PREPARING = "preparing"
    LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStage:
    """The operators [start, stop) on one node, with the predicted seconds of compute and of the way in."""

    node_id: NodeId
    start: int
    stop: int
    compute_s: float
    transfer_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError("a plan's stage needs operators")
        _check_times("a time of a plan's stage", (self.compute_s, self.transfer_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Who runs what of one model, with the figures that the planner promised."""

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

    def __post_init__(self) -> None:
        if not _PLAN_ID.fullmatch(self.plan_id) or self.epoch < 0:
            raise ValueError("a plan needs an id of 16 hexadecimal digits and no negative epoch")
        if not self.stages:
            raise ValueError("a plan needs stages")
        if self.bottleneck_s <= 0 or self.latency_s < 0:
            raise ValueError("a plan needs a positive bottleneck and no negative latency")


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


def _check_times(what: str, times_s: Iterable[float]) -> None:
    if not all(0 <= time_s <= MAX_TIME_S for time_s in times_s):
        raise ValueError(f"{what} must lie between 0 and {MAX_TIME_S:.0f} seconds")
