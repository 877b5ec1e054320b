"""The control flow of one node: keeps to the lease, adopts plans, holds its stages, coordinates if it must.

Level-triggered: whatever happened, a review looks at everything and does what is missing.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from mesh.errors import MeshError
from mesh.fleet import reconcile
from mesh.fleet.answering import answer
from mesh.fleet.coordinator import Coordinator
from mesh.fleet.lease import Lease, next_lease
from mesh.fleet.plans import ModelFacts, broken, links_of
from mesh.fleet.reconcile import StageKey
from mesh.fleet.routes import Route, find_route
from mesh.fleet.track import Check, Found, Solve
from mesh.ids import BootId, ModelId, NodeId, PlanId
from mesh.node.held_stage import ModelFile
from mesh.node.jobs import Jobs
from mesh.node.loop import Loop
from mesh.node.probes import Probes
from mesh.node.publisher import Publisher
from mesh.node.roster import Roster
from mesh.node.stages import Stages
from mesh.wire.documents import Plan, PlansDocument
from mesh.wire.topics import Fact

_log = logging.getLogger("mesh.control")

REVIEW_DELAY_S = 0.05
"""Changes come in bursts: look once when one is over."""
LINGER_S = 5.0
"""How long the stages of a replaced plan stay after the last request that may be under way."""
SESSION_LINGER_S = 600.0
"""… and at most for sessions that began under it."""

GoldenOutcome = tuple[str | None, bool]
"""The failure or None, and whether trying again may help."""
Way = Route | str | None
"""How requests go, why they cannot any more, or None while there may be another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the control flow needs done elsewhere; all on the loop's thread."""

    set_route: Callable[[ModelId, Route | None], None]
    end_plan: Callable[[ModelId, str], None]
    keep_sessions: Callable[[frozenset[NodeId], frozenset[NodeId]], None]
    drop_model: Callable[[ModelId], None]
    check_golden: Callable[[Plan, Callable[[GoldenOutcome], None]], None]
    served: Callable[[], frozenset[ModelId]]
    plannable: Callable[[], Mapping[ModelId, ModelFacts]]
    model_file: Callable[[ModelId], ModelFile | None]
    keep_models: Callable[[], None]


class Control:
    """What this node does about what the fleet says."""

    def __init__(
        self,
        loop: Loop,
        roster: Roster,
        *,
        me: NodeId,
        publisher: Publisher,
        stages: Stages,
        probes: Probes,
        planner: Jobs,
        hooks: Hooks,
    ) -> None:
        self._loop = loop
        self._roster = roster
        self._me = me
        self._publisher = publisher
        self._stages = stages
        self._probes = probes
        self._planner = planner
        self._hooks = hooks
        self._review_pending = False
        self._coordinator = Coordinator(me)
        self._routed: dict[ModelId, Way] = {}
        self._boots: dict[NodeId, BootId | None] = {}
        self._replaced_s: dict[PlanId, tuple[float, float]] = {}  # when, and for how long it stays
        self.lease = Lease()
        self.adopted: dict[ModelId, Plan] = {}

    @property
    def is_coordinator(self) -> bool:
        return self.lease.holder == self._me

    def problem_of(self, model_id: ModelId) -> str | None:
        """Why the model has no plan, in the coordinator's words."""
        told = self.coordinators_plans()
        for problem in told.problems if told is not None else ():
            if problem.model_id == model_id:
                return problem.reason
        return None

    def barred_from(self, model_id: ModelId) -> dict[NodeId, str]:
        """Who is left out of the model for a while since it failed with it, and why."""
        told = self.coordinators_plans()
        barred = told.barred if told is not None else ()
        return {one.node_id: one.reason for one in barred if one.model_id == model_id}

    def to_measure_again(self) -> frozenset[ModelId]:
        """Models with which this node has been slow, while it runs nothing that could show it."""
        told = self.coordinators_plans()
        if told is None or self._stages.held:
            return frozenset()
        due = (one for one in told.paces if one.node_id == self._me and one.is_due)
        return frozenset(one.model_id for one in due)

    def coordinators_plans(self) -> PlansDocument | None:
        holder = self.lease.holder
        node = self._roster.view.get(holder) if holder is not None else None
        return node.plans if node is not None else None

    def no_plan_reason(self, model_id: ModelId, name: str) -> str:
        """What a client is told while there is no plan."""
        when = "any more" if isinstance(self._routed.get(model_id), str) else "yet"
        problem = self.problem_of(model_id)
        return f"{name} has no plan {when}: {problem or 'the mesh is getting it ready'}"

    def is_routed(self, model_id: ModelId) -> bool:
        """Whether requests for the model flow: each stage of its live plan has a node that takes them."""
        return isinstance(self._routed.get(model_id), Route)

    def review_soon(self) -> None:
        """Look at everything once the current burst of changes is over."""
        if not self._review_pending:
            self._review_pending = True
            self._loop.after(REVIEW_DELAY_S, self._review)

    def _review(self) -> None:
        self._review_pending = False
        self._roster.connect()
        self._take_lease()
        self._probes.keep(
            self._roster.others, answering=self._roster.hearing_me(), used=self._receivers()
        )
        self._hooks.keep_models()
        self._adopt()
        if self.is_coordinator:
            self._coordinate()
        self._reconcile_stages()
        self._route()
        self._publish()

    def _receivers(self) -> frozenset[NodeId]:
        """To whom this node sends by the live plans, whose gateway is the lease's holder."""
        gateway = self.lease.holder or self._me
        links = (one for plan in self.adopted.values() for one in links_of(plan, gateway))
        return frozenset(one.receiver for one in links if one.sender == self._me)

    def _take_lease(self) -> None:
        lease = next_lease(
            self.lease,
            self._roster.leases(),
            me=self._me,
            # Where all are draining, one of them says so of every model.
            candidates=self._roster.ready or self._roster.draining,
            vouched=self._roster.vouched(),
        )
        if lease != self.lease:
            _log.info("coordinator is %s (term %d)", lease.holder, lease.term)
            if self.is_coordinator or lease.holder == self._me:
                self._coordinator.reset()
            self.lease = lease

    def _adopt(self) -> None:
        adopted = reconcile.adopt(
            self.adopted,
            self._roster.view,
            present=self._roster.present,
            served=self._hooks.served(),
        )
        for model_id, plan in self.adopted.items():
            if adopted.get(model_id) != plan:
                self._note_replaced(plan)
        for model_id in self.adopted.keys() - adopted.keys():
            self._routed.pop(model_id, None)
            self._hooks.drop_model(model_id)
        self.adopted = adopted

    # Coordinating

    def _coordinate(self) -> None:
        models = self._hooks.plannable()
        instructions = self._coordinator.step(
            models,
            self._roster.view,
            self.adopted,
            ready=self._roster.ready,
            draining=self._roster.draining,
            conditions=self._roster.conditions(),
            now_s=self._loop.now_s(),
        )
        for instruction in instructions:
            if isinstance(instruction, Solve):
                self._solve(models[instruction.model_id], instruction)
            elif isinstance(instruction, Check):
                self._check(instruction.plan)

    def _solve(self, facts: ModelFacts, question: Solve) -> None:
        lease = self.lease

        def done(outcome: Found | str | MeshError) -> None:
            if lease != self.lease:
                return  # its track is forgotten; another may be waiting for an answer of its own
            planned = str(outcome) if isinstance(outcome, MeshError) else outcome
            live = self.adopted.get(facts.model_id)
            view, now_s = self._roster.view, self._loop.now_s()
            try:
                self._coordinator.solved(facts, planned, view, live, now_s=now_s)
            except ValueError as error:  # figures that no plan may carry: a peer told nonsense
                why = f"the plan found cannot be told to others: {error}"
                self._coordinator.solved(facts, why, view, live, now_s=now_s)
            self.review_soon()

        self._planner.run(lambda: answer(question, facts.pieces), done)

    def _check(self, plan: Plan) -> None:
        def checked(outcome: GoldenOutcome) -> None:
            failure, again = outcome
            live = self._coordinator.checked(plan, failure, again=again, now_s=self._loop.now_s())
            if live is not None:
                _log.info("model %s: plan of epoch %d is live", plan.model_id[:12], plan.epoch)
                self._go_live(live)
            self.review_soon()

        self._hooks.check_golden(plan, checked)

    def _go_live(self, plan: Plan) -> None:
        old = self.adopted.get(plan.model_id)
        if old is not None:
            self._note_replaced(old)
        self.adopted[plan.model_id] = plan

    # Doing what the plans say

    def _reconcile_stages(self) -> None:
        self._stages.expire_sessions()
        preparing = (
            self._coordinator.preparing()
            if self.is_coordinator
            else reconcile.preparing(self._roster.view, self.lease.holder, self.adopted)
        )
        held = self._stages.held
        todo = reconcile.changes(
            (*self.adopted.values(), *preparing),
            me=self._me,
            held=held,
            lingering=self._lingering(held),
        )
        for key in todo.unload:
            self._stages.unload(key)
        for plan, stage in todo.load:
            self._load(plan, stage)

    def _note_replaced(self, plan: Plan) -> None:
        stays_s = LINGER_S + reconcile.under_way_s(plan)
        self._replaced_s[plan.plan_id] = self._loop.now_s(), stays_s

    def _lingering(self, held: frozenset[StageKey]) -> frozenset[StageKey]:
        """The stages of replaced plans that may still be needed."""
        now_s, in_session = self._loop.now_s(), self._stages.in_session
        self._replaced_s = {
            plan_id: (at_s, stays_s)
            for plan_id, (at_s, stays_s) in self._replaced_s.items()
            if now_s - at_s < max(SESSION_LINGER_S, stays_s)
        }
        return frozenset(
            key
            for key in held
            if key.plan_id in self._replaced_s
            and (now_s < sum(self._replaced_s[key.plan_id]) or key in in_session)
        )

    def _load(self, plan: Plan, stage: int) -> None:
        try:
            file = self._hooks.model_file(plan.model_id)
            if file is not None:  # else it is still being fetched or read: a review follows
                self._stages.load(plan, stage, file)
        except MeshError as error:
            self._stages.give_up(plan, stage, error)

    def _route(self) -> None:
        """Tell the gateway which plans can be used; a node's new life interrupts its plans."""
        boots = {node_id: member.boot_id for node_id, member in self._roster.members.items()}
        reborn = {n for n, boot in boots.items() if self._boots.get(n, boot) not in (boot, None)}
        self._boots = boots
        self._hooks.keep_sessions(frozenset(self._roster.present), frozenset(reborn))
        for model_id, plan in self.adopted.items():
            if any(node_id in reborn for node_id in plan.node_ids):
                self._set_route(model_id, self._route_of(model_id, plan, without=reborn))
            way = self._route_of(model_id, plan)
            if model_id not in self._routed or self._routed[model_id] != way:
                self._set_route(model_id, way)
        self._stages.use(way for way in self._routed.values() if isinstance(way, Route))

    def _set_route(self, model_id: ModelId, way: Way) -> None:
        self._routed[model_id] = way
        if isinstance(way, str):
            self._hooks.end_plan(model_id, way)
        else:
            self._hooks.set_route(model_id, way)

    def _route_of(self, model_id: ModelId, plan: Plan, *, without: Collection[NodeId] = ()) -> Way:
        """How requests go by the plan; a replica that is lost or has failed is passed by."""
        view, present = self._roster.view, self._roster.present
        found = find_route(
            view, plan, present=present.difference(without), suspect=self._roster.suspect
        )
        failed = broken(view, plan)
        if found is not None or not failed:
            return found
        problem = self.problem_of(model_id)
        # A coordinator that has not left them out has not looked for another plan yet.
        if problem is None or not failed.keys() <= self.barred_from(model_id).keys():
            return None
        return f"the model has no plan any more: {problem}"

    def _publish(self) -> None:
        preparing = self._coordinator.preparing() if self.is_coordinator else ()
        now_s = self._loop.now_s()
        self._publisher.say(Fact.LINKS, self._probes.document())
        self._publisher.say(Fact.STAGES, self._stages.document())
        self._publisher.say(Fact.PEERS, self._roster.peers_document())
        self._publisher.say(
            Fact.PLANS,
            PlansDocument(
                lease_term=self.lease.term,
                plans=(*(plan for _, plan in sorted(self.adopted.items())), *preparing),
                problems=self._coordinator.problems() if self.is_coordinator else (),
                barred=self._coordinator.barred() if self.is_coordinator else (),
                paces=self._coordinator.paces(now_s=now_s) if self.is_coordinator else (),
                link_paces=self._coordinator.link_paces() if self.is_coordinator else (),
            ),
        )
