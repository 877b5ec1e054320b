"""Where a model stands with its coordinator, and all that one look at it takes into account; only values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from mesh.fleet.bars import Bar
from mesh.fleet.drift import Pace
from mesh.fleet.link_drift import LinkPace, Pair
from mesh.fleet.plans import ModelFacts
from mesh.fleet.readings import Condition
from mesh.fleet.view import View
from mesh.ids import ModelId, NodeId
from mesh.planning import Explanation, Problem, Solution
from mesh.planning.wishes import Wishes
from mesh.wire.documents import Plan


class Phase(Enum):
    UNPLANNED = "unplanned"
    SOLVING = "solving"
    PREPARING = "preparing"
    CHECKING = "checking"
    LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Solve:
    """Run the planner on this problem and call `solved`.

    `roomy` is the problem less what the `live` plan holds, which stays until the next one is live:
    it is asked first. `may_crowd` = where it has no answer, the problem itself is asked.
    """

    model_id: ModelId
    problem: Problem
    roomy: Problem | None = None
    may_crowd: bool = True
    live: Plan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the planner found, and the live plan with the figures that today's facts give it.

    `live` is None where there is none, or where they do not allow it any more.
    """

    solution: Solution
    explanation: Explanation
    live: Solution | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Send the golden input through this plan and call `checked`."""

    plan: Plan


Instruction = Solve | Check
Cause = NodeId | Pair
"""What drifted: a node, or a link from one node to another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What the last planning went by: a measurement's noise is no reason to plan anew.

    `paces` = how many times slower than normal each node was believed to be, for want of cores too;
    `cores` = how many a CPU quota leaves it; `paths` = how many times slower than at first a link was,
    where it drifted.
    """

    nodes: tuple[NodeId, ...]
    wishes: Wishes
    kernels: tuple[tuple[str, int, str], ...]
    linked: tuple[tuple[NodeId, NodeId], ...]
    paces: tuple[tuple[NodeId, float], ...] = ()
    cores: tuple[tuple[NodeId, float], ...] = ()
    paths: tuple[tuple[Pair, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Where one model stands; `records` = the last bar of each node that is still there.

    `causes` = the nodes and links whose drift is why a plan is being sought or made ready, empty where it is for
    another reason, which `reason` tells. `switched_s` and `switched_for` are of the last plan that
    went live for drift; `prepared_s` is how long the last plan took to be made ready.
    Nothing is planned before `pauses_until_s`, `pause_s` after a check that was lost on its way.
    """

    phase: Phase = Phase.UNPLANNED
    since_s: float = 0.0
    waiting_since_s: float | None = None
    basis: Basis | None = None
    next_plan: Plan | None = None
    barred: Mapping[NodeId, Bar] = field(default_factory=dict)
    records: Mapping[NodeId, Bar] = field(default_factory=dict)
    problem: str | None = None
    paces: Mapping[NodeId, Pace] = field(default_factory=dict)
    path_paces: Mapping[Pair, LinkPace] = field(default_factory=dict)
    causes: frozenset[Cause] = frozenset()
    reason: str = ""
    switched_s: float | None = None
    switched_for: frozenset[Cause] = frozenset()
    prepared_s: float | None = None
    pause_s: float = 0.0
    pauses_until_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """All that one look at one model takes into account."""

    facts: ModelFacts
    view: View
    live: Plan | None
    ready: frozenset[NodeId]
    draining: frozenset[NodeId]
    conditions: Mapping[NodeId, Condition]
    me: NodeId
    now_s: float


def idle(track: Track, now_s: float) -> Track:
    """The track without a plan under way."""
    return replace(track, phase=Phase.UNPLANNED, since_s=now_s, next_plan=None)
