"""One request's way from acceptance to exactly one answer: queue, window, retry, deadline; no I/O.

    WAITING ──dispatch──▶ IN_FLIGHT ──result──▶ (answered)
       ▲ │                  │  │ └──error that a retry cannot mend──▶ (failed)
       │ └──deadline────────┼──┴──deadline──────────────────────────▶ (failed)
       └──retry: plan gone, stage refused, no answer in time

A retry may run a stage twice; the answer is the same, the first one counts and later ones are
dropped by key. It goes to other replicas where there are some, and at once when one is lost. A step
of a session is never retried, and goes by the plan and the way of the first: which step is whose
turn, `mesh.pipeline.sessions` decides. Every method takes the time and returns what the caller has
to do.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mesh.errors import (
    ChildDiedError,
    ChildHungError,
    DeadlineExceededError,
    MeshError,
    NodeLostError,
    NoPlanError,
    OverloadedError,
)
from mesh.fleet.reconcile import WINDOW_PER_NODE
from mesh.fleet.routes import Route, whole_route
from mesh.ids import ModelId, NodeId, RequestKey
from mesh.pipeline.lane import ModelLane
from mesh.pipeline.request import Action, Answer, Request, Send, State, outputs_of, refuse
from mesh.wire.documents import GatewayStats, Plan
from mesh.wire.frame import Frame, FrameKind
from mesh.wire.refusal import Refusal

PATIENCE_S = 2.0
PATIENCE_LATENCIES = 8.0
"""An attempt is repeated after PATIENCE_S plus so many predicted latencies, doubled each time."""
BACKOFF_S = 0.05
MAX_BACKOFF_S = 1.0
MAX_CHILD_DEATHS = 2
"""A request that saw one stage die this often is the likely cause: it fails rather than kill more."""
_DEADLY = frozenset({ChildDiedError.code, ChildHungError.code})


@dataclass(slots=True, kw_only=True)
class Counters:
    """What went another way than straight."""

    retried: int = 0
    duplicates: int = 0
    damaged: int = 0


class Gateway:
    """All requests that this node answers for."""

    def __init__(self, me: NodeId, *, max_queue: int, max_in_flight: int) -> None:
        self._me = me
        self._max_queue = max_queue
        self._max_in_flight = max_in_flight
        self._requests: dict[RequestKey, Request] = {}
        self._lanes: dict[ModelId, ModelLane] = {}
        self.counters = Counters()

    def submit(self, request: Request, *, now_s: float, no_plan_reason: str) -> list[Action]:
        """Take a request; the answer may be immediate (no plan, queue full)."""
        lane = self._lanes.get(request.model_id, ModelLane())
        if request.pinned is None and not lane.may_wait:
            return [refuse(request, NoPlanError(no_plan_reason), now_s)]
        # A golden check passes a full queue: it is what lets the queue move again.
        if request.pinned is None and len(lane.waiting) >= self._max_queue:
            sentence = f"{len(lane.waiting)} requests are waiting already: send fewer or later"
            return [refuse(request, OverloadedError(sentence), now_s)]
        self._lanes[request.model_id] = lane
        self._requests[request.key] = request
        lane.waiting.append(request.key)
        return self._pump(lane, now_s)

    def set_route(self, model_id: ModelId, route: Route | None, *, now_s: float) -> list[Action]:
        """How requests go now; None while there is no way and another may come: they then wait.

        What was under way when it went is sent again with the next plan; what may be at a node that
        is passed by from now on goes to the others at once.
        """
        lane = self._lanes.setdefault(model_id, ModelLane())
        before, lane.route = lane.route, route
        lane.may_wait = lane.may_wait or route is not None
        if route is None:
            self._recall(lane, model_id)
            return self._pump(lane, now_s)
        lost = _passed_by(before, route)
        return [*self._reroute(model_id, lane, route, lost, now_s), *self._pump(lane, now_s)]

    def end_plan(self, model_id: ModelId, *, now_s: float, reason: str) -> list[Action]:
        """The live plan cannot be used and there is no other one: refuse what would wait for it."""
        lane = self._lanes.setdefault(model_id, ModelLane())
        lane.route, lane.may_wait = None, False
        self._recall(lane, model_id)
        actions: list[Action] = []
        for key in list(lane.waiting):
            if key in self._requests and self._requests[key].pinned is None:
                actions += self.give_up(key, NoPlanError(reason), now_s=now_s)
        return actions

    def drop_model(self, model_id: ModelId, *, now_s: float, reason: str) -> list[Action]:
        """The model was removed: refuse what waits and what is under way."""
        self._lanes.pop(model_id, None)
        gone = [r for r in self._requests.values() if r.model_id == model_id]
        for request in gone:
            del self._requests[request.key]
        return [refuse(request, NoPlanError(reason), now_s) for request in gone]

    def result(self, frame: Frame, *, now_s: float) -> list[Action]:
        """A RESULT frame arrived."""
        request = self._requests.get(frame.request_key)
        if request is None:
            self.counters.duplicates += 1
            return []
        outputs = outputs_of(request, frame)
        if outputs is None:
            self.counters.damaged += 1
            return []
        lane = self._close(request)
        total_s = now_s - request.arrived_s
        if not request.is_check:
            lane.statistics.answered(now_s, total_s)
        answer = Answer(
            key=request.key,
            outputs=outputs,
            plan=request.plans.get(frame.plan_id),
            timings=frame.timings,
            total_s=total_s,
            attempts=request.attempt,
        )
        return [answer, *self._pump(lane, now_s)]

    def error(self, frame: Frame, refusal: Refusal, *, now_s: float) -> list[Action]:
        """An ERROR frame arrived: try again where that can help."""
        request = self._requests.get(frame.request_key)
        is_current = request is not None and frame.attempt == request.attempt & 0xFF
        if request is None or not is_current or request.failed_attempt == request.attempt:
            self.counters.duplicates += 1
            return []
        request.failed_attempt = request.attempt
        stage = (frame.plan_id, frame.stage)
        request.child_deaths[stage] += refusal.code in _DEADLY
        if request.child_deaths[stage] >= MAX_CHILD_DEATHS:
            refusal = replace(refusal, retryable=False)
        if refusal.retryable and request.step is None:
            request.due_s = now_s + _backoff_s(request.attempt)
            return []
        lane = self._close(request)
        lane.statistics.failed(now_s)
        failure = Answer(key=request.key, refusal=refusal, total_s=now_s - request.arrived_s)
        return [failure, *self._pump(lane, now_s)]

    def unsent(self, key: RequestKey, *, now_s: float) -> list[Action]:
        """The send failed at once: try again shortly."""
        request = self._requests.get(key)
        if request is not None and request.step is not None:
            error = NodeLostError("the node with the first stage cannot be reached")
            return self.give_up(key, error, now_s=now_s)
        if request is not None:
            # Each other replica of the first stage is tried before anything is waited for.
            is_last = request.attempt >= self._choices(request)
            request.due_s = now_s + (_backoff_s(request.attempt) if is_last else 0.0)
        return []

    def give_up(self, key: RequestKey, error: MeshError, *, now_s: float) -> list[Action]:
        """Refuse a request, whatever becomes of what was sent."""
        request = self._requests.get(key)
        if request is None:
            return []
        lane = self._close(request)
        lane.statistics.failed(now_s)
        return [refuse(request, error, now_s), *self._pump(lane, now_s)]

    def tick(self, *, now_s: float) -> list[Action]:
        """Deadlines and retries that are due."""
        actions: list[Action] = []
        for request in list(self._requests.values()):
            if request.key not in self._requests:
                continue
            if now_s >= request.deadline_s:
                actions += self._expire(request, now_s)
            elif request.state is State.IN_FLIGHT and now_s >= request.due_s:
                self.counters.retried += 1
                actions += self._dispatch(request, self._lanes[request.model_id], now_s)
        return actions

    def next_due_s(self) -> float | None:
        """When `tick` has something to do; None while there is nothing under way."""
        return min(
            (
                min(r.deadline_s, r.due_s) if r.state is State.IN_FLIGHT else r.deadline_s
                for r in self._requests.values()
            ),
            default=None,
        )

    def stats(self, *, now_s: float) -> tuple[GatewayStats, ...]:
        """Each model's figures of the last minute."""
        return tuple(
            lane.statistics.summary(
                model_id, now_s, in_flight=lane.in_flight, queued=len(lane.waiting)
            )
            for model_id, lane in sorted(self._lanes.items())
        )

    def _pump(self, lane: ModelLane, now_s: float) -> list[Action]:
        """Fill the window from the queue."""
        actions: list[Action] = []
        held_back: list[RequestKey] = []
        while lane.waiting:
            request = self._requests.get(lane.waiting[0])
            if request is None or request.state is not State.WAITING:
                lane.waiting.popleft()
                continue
            lane.waiting.popleft()
            if not self._may_go(request, lane):
                held_back.append(request.key)
                continue
            request.state = State.IN_FLIGHT
            lane.take_in(request)
            actions += self._dispatch(request, lane, now_s)
        lane.waiting.extend(held_back)
        return actions

    def _may_go(self, request: Request, lane: ModelLane) -> bool:
        route = _route_of(request, lane)
        if request.is_check or route is None:
            return request.is_check
        return lane.in_flight < self._window(route.plan) and lane.can_begin(request)

    def _window(self, plan: Plan) -> int:
        return self._max_in_flight or WINDOW_PER_NODE * len(plan.node_ids)

    def _dispatch(self, request: Request, lane: ModelLane, now_s: float) -> list[Action]:
        route = _route_of(request, lane)
        if route is None:
            return []
        plan = route.plan
        request.attempt += 1
        first = lane.send(request, route)
        request.plans[plan.plan_id] = plan
        request.sent_s = now_s
        patience_s = PATIENCE_S + PATIENCE_LATENCIES * plan.latency_s
        request.due_s = now_s + patience_s * 2 ** min(request.attempt - 1, 4)
        if request.step is not None:
            request.pinned, request.due_s = plan, math.inf
        frame = Frame(
            kind=FrameKind.ACTIVATION if request.step is None else FrameKind.STEP,
            request_key=request.key,
            sender=self._me,
            plan_id=plan.plan_id,
            epoch=plan.epoch,
            stage=0,
            way=request.way,
            attempt=request.attempt & 0xFF,
            time_left_s=max(0.0, request.deadline_s - now_s),
            tensors=request.tensors,
            step=request.step,
        )
        return [Send(node_id=first, frame=frame)]

    def _reroute(
        self,
        model_id: ModelId,
        lane: ModelLane,
        route: Route,
        lost: Sequence[frozenset[NodeId]],
        now_s: float,
    ) -> list[Action]:
        """Send again what may be at a replica that is passed by: behind stage 0 nobody knows where."""
        if not any(lost):
            return []
        affected = [
            request
            for request in self._under_way(model_id)
            if route.plan.plan_id in request.plans and (any(lost[1:]) or request.sent_to in lost[0])
        ]
        self.counters.retried += len(affected)
        return [action for one in affected for action in self._dispatch(one, lane, now_s)]

    def _recall(self, lane: ModelLane, model_id: ModelId) -> None:
        """Put what is under way back to the head of the queue, oldest first."""
        recalled = self._under_way(model_id)
        for request in sorted(recalled, key=lambda r: r.arrived_s, reverse=True):
            request.state = State.WAITING
            lane.let_go(request)
            lane.waiting.appendleft(request.key)

    def _under_way(self, model_id: ModelId) -> list[Request]:
        """What may be sent again: neither checks nor steps of sessions."""
        return [
            r
            for r in self._requests.values()
            if r.model_id == model_id and r.state is State.IN_FLIGHT and r.pinned is None
        ]

    def _choices(self, request: Request) -> int:
        """How many nodes could be given the request."""
        route = _route_of(request, self._lanes[request.model_id])
        return len(route.usable[0]) if route is not None and not request.is_check else 1

    def _expire(self, request: Request, now_s: float) -> list[Action]:
        lane = self._close(request)
        lane.statistics.failed(now_s)
        where = "while it waited" if request.attempt == 0 else f"after {request.attempt} attempts"
        error = DeadlineExceededError(
            f"no answer within {request.deadline_s - request.arrived_s:.3g} s ({where}): "
            "give it a longer timeout_ms, or look at `mesh status`"
        )
        return [refuse(request, error, now_s), *self._pump(lane, now_s)]

    def _close(self, request: Request) -> ModelLane:
        del self._requests[request.key]
        lane = self._lanes[request.model_id]
        if request.state is State.IN_FLIGHT:
            lane.let_go(request)
        return lane


def _route_of(request: Request, lane: ModelLane) -> Route | None:
    """How it goes: by the plan that it is tied to, else as everything goes now."""
    return whole_route(request.pinned) if request.pinned is not None else lane.route


def _passed_by(before: Route | None, now: Route) -> tuple[frozenset[NodeId], ...]:
    """By stage, the replicas of the same plan that could take requests and cannot any more."""
    if before is None or before.plan.plan_id != now.plan.plan_id:
        return ()
    return tuple(was - still for was, still in zip(before.usable, now.usable, strict=True))


def _backoff_s(attempt: int) -> float:
    return min(MAX_BACKOFF_S, BACKOFF_S * float(2 ** min(attempt, 8)))
