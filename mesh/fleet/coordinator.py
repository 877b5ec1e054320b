"""What the lease's holder decides: when to plan, when a plan is ready, when it goes live.

One track per model:

    UNPLANNED ──solve──▶ SOLVING ──solution──▶ PREPARING ──all stages ready──▶ CHECKING ──golden──▶ LIVE
        ▲                   │ infeasible           │ stage failed, node lost       │ wrong             │
        └───────────────────┴──────────────────────┴───────────────────────────────┴── facts change ───┘

The live plan goes on serving while a better one is made ready. Solving and checking are done by the
caller: `step` returns instructions, `solved` and `checked` take the results back.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from mesh.fleet.consideration import consider, watch_paces
from mesh.fleet.plans import ModelFacts, broken, is_healthy, next_epoch, propose
from mesh.fleet.preparation import barring, watch_preparation
from mesh.fleet.readings import Condition
from mesh.fleet.switching import USUAL_COST_S, is_worthwhile
from mesh.fleet.track import Found, Instruction, Phase, Situation, Track, idle
from mesh.fleet.view import View
from mesh.ids import ModelId, NodeId
from mesh.wire import beliefs
from mesh.wire.documents import (
    MAX_BAR_CHARS,
    MAX_PROBLEM_CHARS,
    BarredNode,
    Plan,
    PlanPhase,
    PlanProblem,
)
from mesh.wire.measured import MAX_TIME_S, Link

FIRST_PAUSE_S = 1.0
"""Before planning anew when a golden check was lost on its way; each time in a row it doubles."""
MAX_PAUSE_S = 60.0


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

    def paces(self, *, now_s: float) -> tuple[beliefs.NodePace, ...]:
        """The nodes that are believed to be faster or slower than they first measured."""
        return tuple(
            beliefs.NodePace(
                model_id=model_id,
                node_id=node_id,
                slowness=_told(pace.slowness),
                is_due=pace.is_due(now_s),
                whole_s=min(pace.whole_s, MAX_TIME_S),
            )
            for model_id, track in sorted(self._tracks.items())
            for node_id, pace in sorted(track.paces.items())
            if not pace.is_trusted
        )

    def link_paces(self) -> tuple[beliefs.LinkPace, ...]:
        """The links that are believed to be faster or slower than they were at first."""
        return tuple(
            beliefs.LinkPace(
                model_id=model_id,
                node_id=pair[0],
                link=Link(
                    peer=pair[1],
                    goodput_bytes_per_s=pace.link.goodput_bytes_per_s,
                    message_s=pace.link.message_s,
                ),
                slowness=_told(pace.slowness),
            )
            for model_id, track in sorted(self._tracks.items())
            for pair, pace in sorted(track.path_paces.items())
            if not pace.is_steady
        )

    def step(
        self,
        models: Mapping[ModelId, ModelFacts],
        view: View,
        live: Mapping[ModelId, Plan],
        *,
        ready: Collection[NodeId],
        draining: Collection[NodeId] = (),
        conditions: Mapping[NodeId, Condition] = MappingProxyType({}),
        now_s: float,
    ) -> list[Instruction]:
        """Look at everything once and say what to do. `live` = the adopted plans."""
        self._tracks = {m: t for m, t in self._tracks.items() if m in models}
        instructions: list[Instruction] = []
        for model_id, facts in sorted(models.items()):
            track = self._tracks.get(model_id, Track(since_s=now_s))
            situation = Situation(
                facts=facts,
                view=view,
                live=live.get(model_id),
                ready=frozenset(ready),
                draining=frozenset(draining),
                conditions=conditions,
                me=self._me,
                now_s=now_s,
            )
            try:
                track, instruction = _advance(track, situation)
            except ValueError as error:  # of one model: the others, and what is live, go on
                told = f"what its nodes say of themselves cannot be planned with: {error}"
                track, instruction = replace(track, problem=told), None
            self._tracks[model_id] = track
            if instruction is not None:
                instructions.append(instruction)
        return instructions

    def solved(
        self,
        facts: ModelFacts,
        outcome: Found | str,
        view: View,
        live: Plan | None,
        *,
        now_s: float,
    ) -> None:
        """Take the planner's answer: what it found, or the sentence why there is nothing."""
        track = self._tracks.get(facts.model_id)
        if track is None or track.phase is not Phase.SOLVING:
            return
        is_sound = live is not None and not broken(view, live)
        if isinstance(outcome, str):
            # What drift makes impossible goes on as it is.
            told = None if track.causes and is_sound else outcome
            track = idle(replace(track, problem=told), now_s)
        elif live is not None and is_sound and _keeps(track, live, outcome):
            track = replace(track, phase=Phase.LIVE, since_s=now_s, problem=None)
        else:
            plan = propose(
                facts,
                outcome.solution,
                outcome.explanation,
                epoch=next_epoch(view, facts.model_id, live),
                reason=track.reason,
            )
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
            self._tracks[plan.model_id] = idle(_pausing(failed, now_s) if again else failed, now_s)
            return None
        live = replace(
            track, phase=Phase.LIVE, since_s=now_s, next_plan=None, problem=None, pause_s=0.0
        )
        if track.causes:
            live = replace(live, switched_s=now_s, switched_for=track.causes)
        self._tracks[plan.model_id] = live
        return replace(plan, phase=PlanPhase.LIVE)


def _advance(track: Track, now: Situation) -> tuple[Track, Instruction | None]:
    track = watch_paces(track, now)
    if track.phase is Phase.SOLVING:
        return track, None
    if track.next_plan is not None:
        return watch_preparation(track, track.next_plan, now)
    failing = broken(now.view, now.live)
    track = barring(track, {n: why for n, why in failing.items() if n not in track.barred}, now)
    is_served = now.live is None or (is_healthy(now.live, now.ready) and not failing)
    if now.now_s < track.pauses_until_s and is_served:
        return track, None
    return consider(track, now)


def _pausing(track: Track, now_s: float) -> Track:
    """To be planned anew, after twice the last pause: what is lost each time must not cost loading each time."""
    pause_s = min(2 * track.pause_s or FIRST_PAUSE_S, MAX_PAUSE_S)
    return replace(track, basis=None, pause_s=pause_s, pauses_until_s=now_s + pause_s)


def _keeps(track: Track, live: Plan, found: Found) -> bool:
    """Whether the live plan is as good as another one would be."""
    if track.basis is None or not is_healthy(live, track.basis.nodes):
        return False
    cost_s = USUAL_COST_S if track.prepared_s is None else track.prepared_s
    return not is_worthwhile(
        track.basis.wishes.objective,
        found.solution,
        found.live,
        is_drift=bool(track.causes),
        cost_s=cost_s,
    )


def _told(slowness: float) -> float:
    return min(max(round(slowness, 2), 0.01), MAX_TIME_S)


def _cut(text: str, most: int) -> str:
    """As much as a document takes; longer, it would cost the others all that this node says."""
    return text if len(text) <= most else text[: most - 1] + "…"
