"""What the lease's holder decides: when to plan, when a plan is ready, when it goes live.

One track per model:

    UNPLANNED ──solve──▶ SOLVING ──solution──▶ PREPARING ──all stages ready──▶ CHECKING ──golden──▶ LIVE
        ▲                   │ infeasible           │ stage failed, node lost       │ wrong             │
        └───────────────────┴──────────────────────┴───────────────────────────────┴── facts change ───┘

The live plan goes on serving while a better one is made ready. Solving and checking are done by the
caller: `step` returns instructions, `solved` and `checked` take the results back.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from mesh.fleet.bars import Bar, bar, still_barred
from mesh.fleet.facts import (
    Standing,
    known_links,
    nobody_sentence,
    problem_for,
    standing,
    waiting_sentence,
)
from mesh.fleet.plans import (
    ModelFacts,
    broken,
    is_healthy,
    is_worthwhile,
    next_epoch,
    propose,
    unready,
)
from mesh.fleet.reconcile import newer
from mesh.fleet.view import View
from mesh.ids import ModelId, NodeId
from mesh.planning import Explanation, Problem, Solution
from mesh.wire.documents import (
    MAX_BAR_CHARS,
    MAX_PROBLEM_CHARS,
    BarredNode,
    Plan,
    PlanPhase,
    PlanProblem,
)

SETTLE_S = 30.0
"""How long nodes that are still measuring are waited for before planning goes on without them."""
SPLIT_SETTLE_S = 120.0
"""… while there are fewer than the stages asked for."""
PREPARE_S = 60.0
"""How long stages may take to load before the plan is given up."""
_LATE = f"its stage was not loaded within {PREPARE_S:.0f} s"


class Phase(Enum):
    UNPLANNED = "unplanned"
    SOLVING = "solving"
    PREPARING = "preparing"
    CHECKING = "checking"
    LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Solve:
    """Run the planner on this problem and call `solved`."""

    model_id: ModelId
    problem: Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Send the golden input through this plan and call `checked`."""

    plan: Plan


Instruction = Solve | Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What the last planning went by: a measurement's noise is no reason to plan anew."""

    nodes: tuple[NodeId, ...]
    min_stages: int
    kernels: tuple[tuple[str, int], ...]
    linked: tuple[tuple[NodeId, NodeId], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Where one model stands; `records` = the last bar of each node that is still there."""

    phase: Phase = Phase.UNPLANNED
    since_s: float = 0.0
    waiting_since_s: float | None = None
    basis: Basis | None = None
    next_plan: Plan | None = None
    barred: Mapping[NodeId, Bar] = field(default_factory=dict)
    records: Mapping[NodeId, Bar] = field(default_factory=dict)
    problem: str | None = None


class Coordinator:
    """The tracks of all models, of use only while this node holds the lease."""

    def __init__(self, me: NodeId) -> None:
        self._me = me
        self._tracks: dict[ModelId, Track] = {}

    def reset(self) -> None:
        """Forget every track: the lease went to another node, or came back."""
        self._tracks.clear()

    def preparing(self) -> tuple[Plan, ...]:
        """Plans to be made ready."""
        return tuple(
            track.next_plan for track in self._tracks.values() if track.next_plan is not None
        )

    def problems(self) -> tuple[PlanProblem, ...]:
        return tuple(
            PlanProblem(model_id=model_id, reason=_cut(track.problem, MAX_PROBLEM_CHARS))
            for model_id, track in sorted(self._tracks.items())
            if track.problem is not None
        )

    def barred(self) -> tuple[BarredNode, ...]:
        """Who is left out of which model."""
        return tuple(
            BarredNode(model_id=model_id, node_id=node_id, reason=_cut(str(one), MAX_BAR_CHARS))
            for model_id, track in sorted(self._tracks.items())
            for node_id, one in sorted(track.barred.items())
        )

    def step(
        self,
        models: Mapping[ModelId, ModelFacts],
        view: View,
        live: Mapping[ModelId, Plan],
        *,
        ready: Collection[NodeId],
        now_s: float,
    ) -> list[Instruction]:
        """Look at everything once and say what to do. `live` = the adopted plans."""
        self._tracks = {m: t for m, t in self._tracks.items() if m in models}
        instructions: list[Instruction] = []
        for model_id, facts in sorted(models.items()):
            track = self._tracks.get(model_id, Track(since_s=now_s))
            situation = _Situation(
                facts=facts,
                view=view,
                live=live.get(model_id),
                ready=frozenset(ready),
                me=self._me,
                now_s=now_s,
            )
            track, instruction = _advance(track, situation)
            self._tracks[model_id] = track
            if instruction is not None:
                instructions.append(instruction)
        return instructions

    def solved(
        self,
        facts: ModelFacts,
        outcome: tuple[Solution, Explanation] | str,
        view: View,
        live: Plan | None,
        *,
        now_s: float,
    ) -> None:
        """Take the planner's answer: a solution, or the sentence why there is none."""
        track = self._tracks.get(facts.model_id)
        if track is None or track.phase is not Phase.SOLVING:
            return
        if isinstance(outcome, str):
            track = _idle(replace(track, problem=outcome), now_s)
        else:
            plan = propose(facts, *outcome, epoch=next_epoch(view, facts.model_id, live))
            if live is not None and not broken(view, live) and _keeps(track, live, plan):
                track = replace(track, phase=Phase.LIVE, since_s=now_s, problem=None)
            else:
                track = replace(
                    track, phase=Phase.PREPARING, since_s=now_s, next_plan=plan, problem=None
                )
        self._tracks[facts.model_id] = track

    def checked(
        self, plan: Plan, failure: str | None, *, again: bool = False, now_s: float
    ) -> Plan | None:
        """Take the golden check's outcome; returns the plan, now live, when it passed.

        `again` = the failure may pass by itself (a frame was lost): plan anew.
        """
        track = self._tracks.get(plan.model_id)
        if track is None or track.next_plan != plan or track.phase is not Phase.CHECKING:
            return None
        if failure is not None:
            # The basis stays: only other nodes or another split are a reason to try again.
            failed = replace(track, problem=f"the golden check failed: {failure}")
            self._tracks[plan.model_id] = _idle(
                replace(failed, basis=None) if again else failed, now_s
            )
            return None
        self._tracks[plan.model_id] = replace(
            track, phase=Phase.LIVE, since_s=now_s, next_plan=None, problem=None
        )
        return replace(plan, phase=PlanPhase.LIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Situation:
    """All that one look at one model takes into account."""

    facts: ModelFacts
    view: View
    live: Plan | None
    ready: frozenset[NodeId]
    me: NodeId
    now_s: float


def _advance(track: Track, now: _Situation) -> tuple[Track, Instruction | None]:
    if track.phase is Phase.SOLVING:
        return track, None
    if track.next_plan is not None:
        return _watch_preparation(track, track.next_plan, now)
    failing = broken(now.view, now.live)
    track = _barring(track, {n: why for n, why in failing.items() if n not in track.barred}, now)
    return _consider(track, now)


def _barring(track: Track, failed: Mapping[NodeId, str], now: _Situation) -> Track:
    """The track with who failed left out, beside those whose bar still holds."""
    new = bar(failed, track.records, now_s=now.now_s)
    kept = still_barred(track.barred, now.ready, now_s=now.now_s)
    records = {n: one for n, one in track.records.items() if n in now.ready}
    return replace(track, barred={**kept, **new}, records={**records, **new})


def _consider(track: Track, now: _Situation) -> tuple[Track, Instruction | None]:
    """Plan when there is no sound live plan, or when the nodes are not those planned for."""
    sound = _is_sound(now, now.ready - track.barred.keys())
    who = _standing(track, now, need_links=True)
    since_s = now.now_s if track.waiting_since_s is None else track.waiting_since_s
    track = replace(track, waiting_since_s=since_s if who.waiting else None)
    in_need = now.live is not None and not sound
    if who.waiting and not in_need and now.now_s - since_s < _patience_s(now, who):
        if track.basis is None:
            problem = None if sound else waiting_sentence(now.view, who)
            track = replace(track, problem=problem)
        return track, None
    if who.waiting:
        who = _standing(track, now, need_links=False)
    if not who.eligible:
        problem = nobody_sentence(now.view, who)
        return replace(track, problem=problem, basis=None), None
    basis = _basis(now, who.eligible)
    if basis == track.basis and (sound or track.problem is not None):
        return track, None
    return _solving(track, now, basis)


def _is_sound(now: _Situation, usable: Collection[NodeId]) -> bool:
    """Whether the live plan can serve: a node that has just restarted has not read its model yet."""
    if now.live is None or broken(now.view, now.live):
        return False
    measured = {
        n for n in usable if n in now.view and now.live.model_id in now.view[n].capabilities
    }
    return is_healthy(now.live, measured)


def _standing(track: Track, now: _Situation, *, need_links: bool) -> Standing:
    return standing(
        now.view,
        now.facts.model_id,
        now.facts.pieces,
        ready=now.ready,
        barred={node_id: str(one) for node_id, one in track.barred.items()},
        need_links=need_links,
    )


def _patience_s(now: _Situation, who: Standing) -> float:
    """A split that was asked for is worth waiting for nodes."""
    wanted = min(now.facts.min_stages, len(now.facts.pieces), len(now.ready))
    return SPLIT_SETTLE_S if wanted > 1 and len(who.eligible) < wanted else SETTLE_S


def _basis(now: _Situation, eligible: tuple[NodeId, ...]) -> Basis:
    measured = [now.view[node_id].capabilities[now.facts.model_id] for node_id in eligible]
    return Basis(
        nodes=eligible,
        min_stages=now.facts.min_stages,
        kernels=tuple((one.kernel_class, one.threads) for one in measured),
        linked=tuple(sorted(known_links(now.view, {*eligible, now.me}))),
    )


def _solving(track: Track, now: _Situation, basis: Basis) -> tuple[Track, Instruction]:
    problem = problem_for(
        now.view,
        now.facts.model_id,
        now.facts.pieces,
        eligible=basis.nodes,
        gateway=now.me,
        min_stages=basis.min_stages,
    )
    solving = replace(track, phase=Phase.SOLVING, since_s=now.now_s, basis=basis, problem=None)
    return solving, Solve(model_id=now.facts.model_id, problem=problem)


def _watch_preparation(
    track: Track, plan: Plan, now: _Situation
) -> tuple[Track, Instruction | None]:
    if not is_healthy(plan, now.ready) or not newer(plan, now.live):
        return _idle(replace(track, basis=None), now.now_s), None
    missing = unready(now.view, plan)
    late = missing if now.now_s - track.since_s > PREPARE_S else ()
    failed = broken(now.view, plan) or dict.fromkeys(late, _LATE)
    if failed:
        return _idle(replace(_barring(track, failed, now), basis=None), now.now_s), None
    if track.phase is Phase.PREPARING and not missing:
        return replace(track, phase=Phase.CHECKING, since_s=now.now_s), Check(plan=plan)
    return track, None


def _keeps(track: Track, live: Plan, plan: Plan) -> bool:
    basis = track.basis
    if basis is None or not is_healthy(live, basis.nodes):
        return False
    return not is_worthwhile(plan, live, min_stages=basis.min_stages)


def _idle(track: Track, now_s: float) -> Track:
    return replace(track, phase=Phase.UNPLANNED, since_s=now_s, next_plan=None)


def _cut(text: str, most: int) -> str:
    """As much as a document takes; longer, it would cost the others all that this node says."""
    return text if len(text) <= most else text[: most - 1] + "…"
