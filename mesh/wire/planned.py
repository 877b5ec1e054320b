"""What is asked and told of a model's plan: request and reply of the control verb `plan`."""

from dataclasses import dataclass

from mesh.ids import ModelId, NodeId
from mesh.planning.problem_file import ProblemDocument
from mesh.planning.wishes import Wishes

MAX_SUPPOSED = 64
"""Nodes that a what-if question may add, and leave out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """What would be planned now, and why; nothing changes.

    `wishes` instead of the model's own, None = those. `without` leaves nodes out, by name or id,
    `add` supposes more of them, as `pi5`, `pi5:2` or `pi5@8gb:2`. `helps` asks what would help most,
    `front` for the best plans between the soonest answers and the most requests, `dump_problem` for
    the question itself.
    """

    name: str
    wishes: Wishes | None = None
    without: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    helps: bool = False
    front: bool = False
    dump_problem: bool = False
    id: str | None = None

    def __post_init__(self) -> None:
        for what, names in (("without", self.without), ("add", self.add)):
            if len(names) > MAX_SUPPOSED:
                raise ValueError(f"{what} names at most {MAX_SUPPOSED} nodes")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """One node of a stage: its share of the requests, and what one of them is to cost it.

    `pace_s` is the time between two requests that it could keep alone. `room_bytes` is what it
    gives to stages at most, None = no limit. `measured_compute_s` is of the live plan, None
    where nothing was measured.
    """

    node_id: NodeId
    node_name: str
    share: float
    compute_s: float
    receive_s: float
    send_s: float
    pace_s: float
    memory_bytes: int
    room_bytes: int | None = None
    measured_compute_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPart:
    """Operators [start, stop) on a node, or on several that take turns."""

    start: int
    stop: int
    period_s: float
    replicas: tuple[PlannedNode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOption:
    """One way to run the model, with what it is predicted to do.

    The bottleneck's kind is `compute`, `processor`, `transfer` (from its nodes to its receivers) or
    `machine`. `gap`: no plan is better by more than this share of the figure; 0 when `optimal`.
    """

    title: str
    stages: tuple[PlannedPart, ...]
    exit_s: float
    bottleneck_s: float
    latency_s: float
    bottleneck: str
    bottleneck_kind: str
    bottleneck_nodes: tuple[NodeId, ...]
    bottleneck_receivers: tuple[NodeId, ...] = ()
    optimal: bool = False
    gap: float = 1.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOption:
    """A kind of plan of which there is none."""

    title: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    node_id: NodeId
    node_name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanHelp:
    """A change that would help, and what the best plan would then do; None = without bound."""

    sentence: str
    requests_per_s: float | None
    latency_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlan:
    """The plan that serves the model now, and what gateways measured; None without traffic."""

    epoch: int
    reason: str = ""
    requests_per_s: float | None = None
    latency_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReply:
    """The chosen plan and what it was weighed against.

    Requests come in and replies go out at the gateway, None = at any node, for free. Not `from_mesh`:
    nobody was asked, the facts are of a file or of device profiles. `supposed` are sentences on what
    nobody measured, `corrections` on what is not taken as it was measured; the chosen plan gives from `least_requests_per_s` to `most_requests_per_s` then.
    """

    name: str
    model_id: ModelId
    operators: int
    gateway: NodeId | None
    gateway_name: str
    objective: str
    latency_bound_s: float | None
    verdict: str
    chosen: PlanOption
    alternatives: tuple[PlanOption, ...]
    missing: tuple[NoOption, ...]
    left_out: tuple[LeftOut, ...]
    limited: tuple[LeftOut, ...] = ()
    helps: tuple[PlanHelp, ...] = ()
    front: tuple[PlanOption, ...] = ()
    live: LivePlan | None = None
    from_mesh: bool = True
    supposed: tuple[str, ...] = ()
    least_requests_per_s: float | None = None
    most_requests_per_s: float | None = None
    notes: tuple[str, ...] = ()
    corrections: tuple[str, ...] = ()
    problem: ProblemDocument | None = None
