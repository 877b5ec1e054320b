"""Answers `mesh plan`: gathers today's facts and has them weighed beside the loop; nothing goes live here."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from mesh.errors import InfeasibleError, MeshError, NoPlanError, OverloadedError, UsageError
from mesh.fleet.beliefs import drifted_links, in_words, paces_told
from mesh.fleet.facts import Standing, problem_for, standing, without_bytes
from mesh.fleet.naming import node_named, with_ids
from mesh.fleet.plan_report import Live, Weighed, report
from mesh.fleet.plans import ModelFacts, held_by, statuses
from mesh.ids import ModelId, NodeId
from mesh.node.control import Control
from mesh.node.jobs import Jobs
from mesh.node.library import Library
from mesh.node.plan_weighing import Question, weigh
from mesh.node.roster import Roster
from mesh.node.status import name_of
from mesh.planning import Problem
from mesh.planning.wishes import Wishes
from mesh.wire.documents import GatewayStats, Heartbeat
from mesh.wire.planned import LeftOut, PlanReply, PlanRequest

MAX_EXPLAINING = 4
"""Plans that are worked out at once for whoever asks."""

Done = Callable[[PlanReply | MeshError], None]


class PlanDesk:
    """What would be planned, and why; on the loop's thread."""

    def __init__(
        self,
        control_flow: Control,
        roster: Roster,
        library: Library,
        *,
        me: NodeId,
        heartbeat: Callable[[], Heartbeat],
        explainer: Jobs,
    ) -> None:
        self._control = control_flow
        self._roster = roster
        self._library = library
        self._me = me
        self._heartbeat = heartbeat
        self._explainer = explainer
        self._explaining = 0

    def answer(self, request: PlanRequest, done: Done) -> None:
        """Call `done` once, later. Raises: MeshError where nothing can be weighed; then it is not called."""
        if self._explaining >= MAX_EXPLAINING:
            raise OverloadedError(
                f"{self._explaining} plans are being explained: ask again shortly"
            )
        question = self._question(request)
        live = self._live(question.facts.model_id)  # of now: weighing takes its time

        def weighed(outcome: Weighed | MeshError) -> None:
            self._explaining -= 1
            if isinstance(outcome, MeshError):
                done(self._with_names(outcome))
            else:
                done(report(self._told(outcome, live)))

        self._explaining += 1
        self._explainer.run(lambda: weigh(question), weighed)

    def _question(self, request: PlanRequest) -> Question:
        """As the coordinator would put it now. Raises: UsageError, UnknownModelError, InfeasibleError."""
        facts, view = self._facts(request.name), self._roster.view
        wishes = facts.wishes
        if request.wishes is not None:
            wishes = with_ids(request.wishes, view, asked=self._me)
            _check_layers(wishes, facts)
        who = self._standing(facts, wishes, request.without)
        told = self._control.coordinators_plans()
        live = self._control.adopted.get(facts.model_id)
        problem = problem_for(
            view,
            facts.model_id,
            facts.pieces,
            eligible=who.eligible,
            gateway=self._gateway(request.without, who),
            wishes=wishes,
            draining=self._roster.draining,
            paces=paces_told(told, facts.model_id),
            drifted=drifted_links(told, facts.model_id),
        )
        is_supposed = request.wishes is not None or request.without or request.add
        return Question(
            request=request,
            facts=facts,
            problem=problem,
            boards={n: node.advert.board for n, node in view.items() if node.advert is not None},
            others=self._others(who),
            plan=None if is_supposed else live,
            roomy=None if is_supposed else without_bytes(problem, held_by(view, live)),
            corrections=(
                *_fewer_stages(wishes, problem),
                *in_words(told, facts.model_id, view, self._roster.conditions()),
            ),
        )

    def _facts(self, name: str) -> ModelFacts:
        """Raises: UnknownModelError, NoPlanError."""
        manifest = self._library.find(name)
        facts = self._library.plannable().get(manifest.model_id)
        if facts is None:
            raise NoPlanError(f"this node has not read {manifest.name} yet: ask again shortly")
        return replace(facts, name=name)

    def _standing(self, facts: ModelFacts, wishes: Wishes, without: Iterable[str]) -> Standing:
        """Raises: InfeasibleError."""
        view = self._roster.view
        left_out = {node_named(view, word): "you asked for a plan without it" for word in without}
        who = standing(
            view,
            facts.model_id,
            facts.pieces,
            ready=self._roster.ready,
            barred={**self._control.barred_from(facts.model_id), **left_out},
            need_links=False,
            wishes=wishes,
            draining=self._roster.draining,
        )
        if not who.eligible:
            told = "; ".join(f"{one.node_name}: {one.reason}" for one in self._others(who))
            raise InfeasibleError(f"no node can take part: {told or 'no node is ready'}")
        return who

    def _gateway(self, without: Iterable[str], who: Standing) -> NodeId:
        """Where requests are to come in: as of a coordinator's plans, if that node is to be there."""
        left_out = {node_named(self._roster.view, word) for word in without}
        likely = (self._control.lease.holder, self._me, *who.eligible)
        there = (one for one in likely if one is not None and one not in left_out)
        return next(there, self._me)

    def _others(self, who: Standing) -> tuple[LeftOut, ...]:
        """Who is no part of the question, and why."""
        return tuple(
            LeftOut(node_id=node_id, node_name=name_of(self._roster.view, node_id), reason=reason)
            for node_id, reason in {**who.waiting, **who.excluded}.items()
        )

    def _with_names(self, error: MeshError) -> MeshError:
        """The planner knows nodes that have no part in its question by their ids only."""
        if not isinstance(error, InfeasibleError):
            return error
        text = str(error)
        for node_id in self._roster.view:
            text = text.replace(node_id, name_of(self._roster.view, node_id))
        return InfeasibleError(text)

    def _told(self, weighed: Weighed, live: Live | None) -> Weighed:
        """With what this node knows of the live plan, and everybody's name."""
        view = self._roster.view
        names = {node_id: name_of(view, node_id) for node_id in view}
        return replace(weighed, names=names, live=live)

    def _live(self, model_id: ModelId) -> Live | None:
        plan = self._control.adopted.get(model_id)
        if plan is None:
            return None
        stats = [one for one in self._gateways() if one.model_id == model_id]
        busiest = max(stats, key=lambda one: one.requests_per_s, default=None)
        return Live(
            epoch=plan.epoch,
            reason=plan.reason,
            requests_per_s=sum(one.requests_per_s for one in stats) or None,
            latency_s=busiest.p50_s if busiest is not None else None,
            measured_compute_s={
                place: status.measured_compute_s
                for place, status in statuses(self._roster.view, plan).items()
                if status.measured_compute_s is not None
            },
        )

    def _gateways(self) -> Iterable[GatewayStats]:
        """What the gateways of all present nodes say of their requests."""
        yield from self._heartbeat().gateway
        for node_id in sorted(self._roster.others):
            beat = self._roster.members[node_id].heartbeat
            yield from beat.gateway if beat is not None else ()


def _check_layers(wishes: Wishes, facts: ModelFacts) -> None:
    """Raises: UsageError."""
    layers = facts.pieces.boundaries[-1]
    if wishes.private_layers > layers:
        raise UsageError(
            f"{facts.name} has {layers} layers, fewer than the {wishes.private_layers} that "
            "are to be private: give a smaller number"
        )


def _fewer_stages(wishes: Wishes, problem: Problem) -> Iterator[str]:
    """A split asked for is made as wide as nodes and cuts allow: not in silence."""
    if wishes.min_stages > problem.min_stages:
        yield (
            f"{wishes.min_stages} stages were asked for, and {problem.min_stages} are the most that "
            "its nodes and cuts allow now"
        )
