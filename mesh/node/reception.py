"""Answers what `mesh` asks: status, plan, adding and removing models."""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from mesh.errors import (
    BadPayloadError,
    InfeasibleError,
    MeshError,
    NoPlanError,
    OverloadedError,
    RemoteError,
    StoreError,
    UsageError,
)
from mesh.fleet.facts import Standing, problem_for, standing
from mesh.fleet.plans import ModelFacts
from mesh.ids import NodeId
from mesh.model import cut_points, uncuttable_reason
from mesh.model.tensor import LayerRange
from mesh.node.control import Control
from mesh.node.jobs import Jobs
from mesh.node.library import Library
from mesh.node.roster import Roster
from mesh.node.status import Snapshot, name_of, status
from mesh.node.workshop import Wish
from mesh.planning import (
    Bottleneck,
    Explanation,
    Problem,
    Solution,
    evaluate,
    explain,
    solve,
)
from mesh.store.manifest import ChannelOrder, ImageOptions, ModelManifest, ResizeMode
from mesh.wire import codec, control
from mesh.wire.control import (
    AddModelReply,
    AddModelRequest,
    ImageWish,
    LeftOut,
    PlannedPart,
    PlanOption,
    PlanReply,
    PlanRequest,
    RemoveModelReply,
    RemoveModelRequest,
    StatusRequest,
    Verb,
)
from mesh.wire.documents import Heartbeat, Plan
from mesh.wire.topics import RequestTopic

_log = logging.getLogger("mesh.reception")

MAX_REQUEST_BYTES = 2 << 20
MAX_EXPLAINING = 4
"""Plans that are worked out at once for whoever asks."""

Reply = Callable[[bytes], None]
R = TypeVar("R", StatusRequest, PlanRequest, AddModelRequest, RemoveModelRequest)


class Reception:
    """The control service of one node; on the loop's thread."""

    def __init__(
        self,
        control_flow: Control,
        roster: Roster,
        library: Library,
        *,
        me: NodeId,
        mesh_name: str,
        heartbeat: Callable[[], Heartbeat],
        explainer: Jobs,
    ) -> None:
        self._control = control_flow
        self._roster = roster
        self._library = library
        self._me = me
        self._mesh_name = mesh_name
        self._heartbeat = heartbeat
        self._explainer = explainer
        self._explaining = 0

    def handle(self, topic: RequestTopic, payload: bytes, reply: Reply) -> None:
        """Answer one request; `reply` is called exactly once."""
        request_id = control.reply_id_of(payload[:MAX_REQUEST_BYTES])
        try:
            self._handler(topic.target)(payload, reply)
        except MeshError as error:
            reply(control.encode_refusal(request_id, error))
        except Exception as error:  # noqa: BLE001 - whoever asks gets an answer
            _log.exception("a control request failed")
            fault = MeshError(f"a fault in the node ({type(error).__name__}): see its log")
            reply(control.encode_refusal(request_id, fault))

    def _handler(self, target: str) -> Callable[[bytes, Reply], None]:
        handlers: dict[str, Callable[[bytes, Reply], None]] = {
            Verb.STATUS.value: self._status,
            Verb.PLAN.value: self._plan,
            Verb.MODEL_ADD.value: self._add,
            Verb.MODEL_REMOVE.value: self._remove,
        }
        if target not in handlers:
            there_are = ", ".join(handlers)
            raise UsageError(f"there is no control request {target!r}; there are: {there_are}")
        return handlers[target]

    def _status(self, payload: bytes, reply: Reply) -> None:
        request = _parse(StatusRequest, payload)
        snapshot = Snapshot(
            me=self._me,
            mesh_name=self._mesh_name,
            view=self._roster.view,
            members=self._roster.members,
            coordinator=self._control.lease.holder,
            own_heartbeat=self._heartbeat(),
            manifests=self._library.catalogue.live(),
            adopted=self._control.adopted,
            routed=self._control.is_routed,
            problem_of=self._control.problem_of,
        )
        reply(control.encode_reply(request.id, status(snapshot)))

    def _add(self, payload: bytes, reply: Reply) -> None:
        request = _parse(AddModelRequest, payload)
        wish = Wish(
            model_id=request.model_id,
            name=request.name,
            min_stages=request.min_stages,
            image=_image_options(request.image),
            labels=request.labels,
            replace=request.replace,
        )

        def done(outcome: ModelManifest | MeshError) -> None:
            if isinstance(outcome, MeshError):
                reply(control.encode_refusal(request.id, outcome))
            else:
                reply(control.encode_reply(request.id, self._added(outcome)))

        self._library.add(wish, done, peers=self._http_urls())

    def _http_urls(self) -> dict[str, str]:
        """Where the other nodes' files are, by name and id."""
        adverts = [
            node.advert
            for node_id, node in sorted(self._roster.view.items())
            if node_id in self._roster.others and node.advert is not None
        ]
        return {f"{advert.name} ({advert.node_id})": advert.http_url for advert in adverts}

    def _added(self, manifest: ModelManifest) -> AddModelReply:
        file = self._library.model_file(manifest.model_id)
        if file is None:
            raise StoreError(f"{manifest.name} was removed while it was added: add it again")
        return AddModelReply(
            name=manifest.name,
            model_id=manifest.model_id,
            inputs=manifest.inputs,
            outputs=manifest.outputs,
            operators=len(file.model.layers),
            cuts=len(cut_points(file.model)),
            uncuttable=uncuttable_reason(file.model),
        )

    def _remove(self, payload: bytes, reply: Reply) -> None:
        request = _parse(RemoveModelRequest, payload)
        manifest = self._library.remove(request.name)
        reply(control.encode_reply(request.id, RemoveModelReply(name=manifest.name)))

    def _plan(self, payload: bytes, reply: Reply) -> None:
        request = _parse(PlanRequest, payload)
        manifest = self._library.find(request.name)
        facts = self._library.plannable().get(manifest.model_id)
        if facts is None:
            raise NoPlanError(f"this node has not read {manifest.name} yet: ask again shortly")
        if self._explaining >= MAX_EXPLAINING:
            raise OverloadedError(
                f"{self._explaining} plans are being explained: ask again shortly"
            )
        problem, who = self._problem(facts, request.min_stages)
        live = self._control.adopted.get(facts.model_id)
        shown = live if request.min_stages is None else None

        def told(solution: Solution, explanation: Explanation) -> PlanReply:
            return PlanReply(
                name=manifest.name,
                model_id=manifest.model_id,
                operators=facts.pieces.boundaries[-1],
                verdict=explanation.verdict.replace("the given plan", "the live plan"),
                chosen=self._option("chosen" if shown is None else "live", facts, solution),
                alternatives=self._alternatives(facts, explanation),
                left_out=self._left_out(explanation, who),
                live_epoch=live.epoch if live is not None else None,
                measured_requests_per_s=self._measured(facts),
                limited=self._named_nodes((one.node_id, one.reason) for one in explanation.limited),
            )

        def done(outcome: tuple[Solution, Explanation] | MeshError) -> None:
            self._explaining -= 1
            if isinstance(outcome, MeshError):
                reply(control.encode_refusal(request.id, outcome))
            else:
                reply(control.encode_reply(request.id, told(*outcome)))

        self._explaining += 1
        self._explainer.run(lambda: _solved(problem, facts, shown), done)

    def _problem(self, facts: ModelFacts, min_stages: int | None) -> tuple[Problem, Standing]:
        """The question as the coordinator would put it now. Raises: InfeasibleError."""
        view = self._roster.view
        who = standing(
            view,
            facts.model_id,
            facts.pieces,
            ready=self._roster.ready,
            barred=self._control.barred_from(facts.model_id),
            need_links=False,
        )
        if not who.eligible:
            reasons = {**who.waiting, **who.excluded}
            told = "; ".join(f"{name_of(view, n)}: {why}" for n, why in reasons.items())
            raise InfeasibleError(f"no node can take part: {told or 'no node is ready'}")
        problem = problem_for(
            view,
            facts.model_id,
            facts.pieces,
            eligible=who.eligible,
            gateway=self._control.lease.holder or self._me,
            min_stages=facts.min_stages if min_stages is None else min_stages,
        )
        return problem, who

    def _alternatives(self, facts: ModelFacts, explanation: Explanation) -> tuple[PlanOption, ...]:
        options = (
            ("best single node", explanation.best_single),
            ("best pipeline", explanation.best_pipeline),
        )
        return tuple(self._option(title, facts, one) for title, one in options if one is not None)

    def _left_out(self, explanation: Explanation, who: Standing) -> tuple[LeftOut, ...]:
        reasons = [(one.node_id, one.sentence) for one in explanation.left_out]
        return self._named_nodes([*reasons, *who.waiting.items(), *who.excluded.items()])

    def _named_nodes(self, reasons: Iterable[tuple[NodeId, str]]) -> tuple[LeftOut, ...]:
        view = self._roster.view
        return tuple(
            LeftOut(node_id=node_id, node_name=name_of(view, node_id), reason=reason)
            for node_id, reason in reasons
        )

    def _measured(self, facts: ModelFacts) -> float | None:
        rates = [
            one.requests_per_s
            for one in self._heartbeat().gateway
            if one.model_id == facts.model_id
        ]
        return rates[0] if rates and rates[0] > 0 else None

    def _named(self, bottleneck: Bottleneck) -> str:
        """The bottleneck in words, with the nodes' names for their ids."""
        text = str(bottleneck)
        for node_id in bottleneck.node_ids:
            text = text.replace(node_id, name_of(self._roster.view, node_id))
        return text

    def _option(self, title: str, facts: ModelFacts, solution: Solution) -> PlanOption:
        parts = []
        for stage in solution.stages:
            operators = facts.pieces.layer_range(stage.layers)
            parts.append(
                PlannedPart(
                    node_id=stage.node_id,
                    node_name=name_of(self._roster.view, stage.node_id),
                    start=operators.start,
                    stop=operators.stop,
                    compute_s=stage.compute_s,
                    transfer_s=stage.transfer_s,
                    memory_bytes=stage.memory_bytes,
                )
            )
        return PlanOption(
            title=title,
            stages=tuple(parts),
            bottleneck_s=solution.bottleneck_s,
            latency_s=solution.latency_s,
            bottleneck=self._named(solution.bottleneck),
        )


def _solved(problem: Problem, facts: ModelFacts, plan: Plan | None) -> tuple[Solution, Explanation]:
    """May take seconds with many nodes. Raises: InfeasibleError."""
    solution = _as_planned(problem, facts, plan) or solve(problem)
    return solution, explain(problem, solution)


def _as_planned(problem: Problem, facts: ModelFacts, plan: Plan | None) -> Solution | None:
    """A plan under today's facts; None where they do not allow it any more."""
    if plan is None:
        return None
    place = {operator: piece for piece, operator in enumerate(facts.pieces.boundaries)}
    try:
        assignment = [
            (stage.node_id, LayerRange(start=place[stage.start], stop=place[stage.stop]))
            for stage in plan.stages
        ]
        return evaluate(problem, assignment)
    except (KeyError, MeshError):
        return None


def _parse(kind: type[R], payload: bytes) -> R:
    """Raises: BadPayloadError: here a client speaks, no peer."""
    try:
        return codec.decode(kind, payload or b"{}", max_bytes=MAX_REQUEST_BYTES)
    except RemoteError as error:
        raise BadPayloadError(str(error)) from error


def _image_options(wish: ImageWish | None) -> ImageOptions | None:
    """Raises: BadPayloadError."""
    if wish is None:
        return None
    try:
        return ImageOptions(
            scale=wish.scale,
            offset=wish.offset,
            mode=ResizeMode(wish.mode),
            channels=ChannelOrder(wish.channels),
        )
    except ValueError as error:
        raise BadPayloadError(f"image options: {error}") from error
