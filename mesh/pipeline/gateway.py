"""One request's way from acceptance to exactly one answer: queue, window, retry, deadline; no I/O.

    WAITING ──dispatch──▶ IN_FLIGHT ──result──▶ (answered)
       ▲ │                  │  │ └──error that a retry cannot mend──▶ (failed)
       │ └──deadline────────┼──┴──deadline──────────────────────────▶ (failed)
       └──retry: plan gone, stage refused, no answer in time

A retry may run a stage twice; the answer is the same, the first one counts and later ones are
dropped by key. A step of a session is never retried, and goes by the plan of the first: which step
is whose turn, `mesh.pipeline.sessions` decides. Every method takes the time and returns what the
caller has to do.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mesh.errors import (
    ChildDiedError,
    ChildHungError,
    DeadlineExceededError,
    MeshError,
    NodeLostError,
    NoPlanError,
    OverloadedError,
)
from mesh.ids import ModelId, NodeId, RequestKey
from mesh.model.tensor import TensorSpec
from mesh.pipeline.request import Action, Answer, Request, Send, State, refuse
from mesh.pipeline.statistics import Statistics
from mesh.wire.documents import GatewayStats, Plan
from mesh.wire.frame import Frame, FrameKind, FrameTensor
from mesh.wire.refusal import Refusal

WINDOW_PER_STAGE = 2
"""Requests under way per stage: one computing, one on its way."""
PATIENCE_S = 2.0
PATIENCE_LATENCIES = 8.0
"""An attempt is repeated after PATIENCE_S plus so many predicted latencies, doubled each time."""
BACKOFF_S = 0.05
MAX_BACKOFF_S = 1.0
MAX_CHILD_DEATHS = 2
"""A request that saw one stage die this often is the likely cause: it fails rather than kill more."""
_DEADLY = frozenset({ChildDiedError.code, ChildHungError.code})


@dataclass(slots=True, kw_only=True)
class _Lane:
    """One model's queue and window. Without a plan, requests are refused unless they `may_wait` for one."""

    plan: Plan | None = None
    may_wait: bool = False
    waiting: deque[RequestKey] = field(default_factory=deque)
    in_flight: int = 0
    statistics: Statistics = field(default_factory=Statistics)


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
        self._lanes: dict[ModelId, _Lane] = {}
        self.counters = Counters()

    def submit(self, request: Request, *, now_s: float, no_plan_reason: str) -> list[Action]:
        """Take a request; the answer may be immediate (no plan, queue full)."""
        lane = self._lanes.get(request.model_id, _Lane())
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

    def set_plan(self, model_id: ModelId, plan: Plan | None, *, now_s: float) -> list[Action]:
        """The live plan, or None while it cannot be used and another may come: requests then wait.

        What was under way when it went is sent again with the next plan.
        """
        lane = self._lanes.setdefault(model_id, _Lane())
        lane.plan = plan
        lane.may_wait = lane.may_wait or plan is not None
        if plan is None:
            self._recall(lane, model_id)
        return self._pump(lane, now_s)

    def end_plan(self, model_id: ModelId, *, now_s: float, reason: str) -> list[Action]:
        """The live plan cannot be used and there is no other one: refuse what would wait for it."""
        lane = self._lanes.setdefault(model_id, _Lane())
        lane.plan, lane.may_wait = None, False
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
        outputs = _outputs(request.outputs, frame.tensors)
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
            request.due_s = now_s + _backoff_s(request.attempt)
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

    def _pump(self, lane: _Lane, now_s: float) -> list[Action]:
        """Fill the window from the queue."""
        actions: list[Action] = []
        held_back: list[RequestKey] = []
        while lane.waiting:
            request = self._requests.get(lane.waiting[0])
            if request is None or request.state is not State.WAITING:
                lane.waiting.popleft()
                continue
            plan = request.pinned or lane.plan
            if not request.is_check and (plan is None or lane.in_flight >= self._window(plan)):
                held_back.append(lane.waiting.popleft())
                continue
            lane.waiting.popleft()
            request.state = State.IN_FLIGHT
            lane.in_flight += _weight(request)
            actions += self._dispatch(request, lane, now_s)
        lane.waiting.extend(held_back)
        return actions

    def _window(self, plan: Plan) -> int:
        return self._max_in_flight or WINDOW_PER_STAGE * len(plan.stages)

    def _dispatch(self, request: Request, lane: _Lane, now_s: float) -> list[Action]:
        plan = request.pinned or lane.plan
        if plan is None:
            return []
        request.attempt += 1
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
            attempt=request.attempt & 0xFF,
            time_left_s=max(0.0, request.deadline_s - now_s),
            tensors=request.tensors,
            step=request.step,
        )
        return [Send(node_id=plan.stages[0].node_id, frame=frame)]

    def _recall(self, lane: _Lane, model_id: ModelId) -> None:
        """Put what is under way back to the head of the queue, oldest first."""
        recalled = [
            r
            for r in self._requests.values()
            if r.model_id == model_id and r.state is State.IN_FLIGHT and r.pinned is None
        ]
        for request in sorted(recalled, key=lambda r: r.arrived_s, reverse=True):
            request.state = State.WAITING
            lane.in_flight -= 1
            lane.waiting.appendleft(request.key)

    def _expire(self, request: Request, now_s: float) -> list[Action]:
        lane = self._close(request)
        lane.statistics.failed(now_s)
        where = "while it waited" if request.attempt == 0 else f"after {request.attempt} attempts"
        error = DeadlineExceededError(
            f"no answer within {request.deadline_s - request.arrived_s:.3g} s ({where}): "
            "give it a longer timeout_ms, or look at `mesh status`"
        )
        return [refuse(request, error, now_s), *self._pump(lane, now_s)]

    def _close(self, request: Request) -> _Lane:
        del self._requests[request.key]
        lane = self._lanes[request.model_id]
        if request.state is State.IN_FLIGHT:
            lane.in_flight -= _weight(request)
        return lane


def _weight(request: Request) -> int:
    """What a request takes of the window: a golden check that hangs must not cost the live plan."""
    return 0 if request.is_check else 1


def _backoff_s(attempt: int) -> float:
    return min(MAX_BACKOFF_S, BACKOFF_S * float(2 ** min(attempt, 8)))


def _outputs(
    specs: Sequence[TensorSpec], tensors: Iterable[FrameTensor]
) -> tuple[bytes | memoryview, ...] | None:
    """The tensors in the order asked for; None when one is missing or of another size."""
    found: Mapping[int, bytes | memoryview] = {t.index: t.data for t in tensors}
    if any(s.index not in found or len(found[s.index]) != s.size_bytes for s in specs):
        return None
    return tuple(found[s.index] for s in specs)
