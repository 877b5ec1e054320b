"""Carries out what the gateway decides: frames out, answers back to whoever asked, timers."""

import logging
import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial

from mesh.config import Config
from mesh.errors import MeshError, RemoteError
from mesh.fleet.routes import Route
from mesh.ids import ModelId, NodeId, RequestKey, SessionKey
from mesh.model.tensor import TensorSpec
from mesh.node.loop import Loop
from mesh.pipeline.gateway import Gateway
from mesh.pipeline.request import Action, Answer, Request, Send
from mesh.pipeline.sessions import Sessions
from mesh.pipeline.ways import NO_WAY
from mesh.wire import refusal
from mesh.wire.documents import GatewayStats, Plan
from mesh.wire.frame import Frame, FrameKind, FrameTensor
from mesh.wire.infer import SessionUse
from mesh.wire.topics import Lane

_log = logging.getLogger("mesh.gateway")

TICK_S = 0.02

OnAnswer = Callable[[Answer], None]


class Dispatcher:
    """The gateway and its sessions with their surroundings; everything runs on the loop's thread."""

    def __init__(
        self,
        loop: Loop,
        gateway: Gateway,
        sessions: Sessions,
        *,
        send: Callable[[NodeId, Lane, Frame], None],
    ) -> None:
        self._loop = loop
        self._gateway = gateway
        self._sessions = sessions
        self._send = send
        self._waiting: dict[RequestKey, OnAnswer] = {}
        self._ticking = False

    def ask(
        self,
        model_id: ModelId,
        inputs: Sequence[tuple[TensorSpec, bytes]],
        outputs: Sequence[TensorSpec],
        *,
        timeout_s: float,
        on_answer: OnAnswer,
        no_plan_reason: str = "",
        pinned: Plan | None = None,
        way: int = NO_WAY,
        session: SessionUse | None = None,
    ) -> None:
        """Put a request through the pipeline; `on_answer` is called exactly once.

        `pinned` and `way` tie a golden check to a plan and its replicas. A request of a session
        without inputs only ends it.
        """
        now_s = self._loop.now_s()
        request = Request(
            key=RequestKey(secrets.token_bytes(16)),
            model_id=model_id,
            tensors=tuple(FrameTensor(index=spec.index, data=data) for spec, data in inputs),
            outputs=tuple(outputs),
            arrived_s=now_s,
            deadline_s=now_s + timeout_s,
            pinned=pinned,
            way=way,
        )
        self._waiting[request.key] = on_answer
        submit = self._gateway.submit if session is None else partial(self._take_step, session)
        self._do(submit(request, now_s=now_s, no_plan_reason=no_plan_reason))
        self._keep_ticking()

    def set_route(self, model_id: ModelId, route: Route | None) -> None:
        self._do(self._gateway.set_route(model_id, route, now_s=self._loop.now_s()))

    def end_plan(self, model_id: ModelId, reason: str) -> None:
        """No plan can be used and none is on its way."""
        self._do(self._gateway.end_plan(model_id, now_s=self._loop.now_s(), reason=reason))

    def drop_model(self, model_id: ModelId) -> None:
        now_s, reason = self._loop.now_s(), "the model was removed"
        self._do(self._sessions.drop_model(model_id, now_s=now_s, reason=reason))
        self._do(self._gateway.drop_model(model_id, now_s=now_s, reason=reason))

    def keep_sessions(self, present: Collection[NodeId], reborn: Collection[NodeId]) -> None:
        """Lose the sessions that have lost a node, and those that nobody goes on with."""
        now_s = self._loop.now_s()
        self._do(self._sessions.keep(present=present, reborn=reborn, now_s=now_s))

    def lose_session(self, key: SessionKey, reason: str) -> None:
        """A step of it was computed, but cannot be answered."""
        self._do(self._sessions.lose(key, reason, now_s=self._loop.now_s()))

    def result(self, frame: Frame) -> None:
        """A RESULT or ERROR frame arrived."""
        now_s = self._loop.now_s()
        if frame.kind is FrameKind.RESULT:
            self._do(self._gateway.result(frame, now_s=now_s))
            return
        try:
            told = refusal.decode(frame.error)
        except RemoteError as error:
            _log.warning("an error frame could not be read: %s", error)
            return
        self._do(self._gateway.error(frame, told, now_s=now_s))

    def stats(self) -> tuple[GatewayStats, ...]:
        return tuple(
            replace(stats, sessions=self._sessions.open_of(stats.model_id))
            for stats in self._gateway.stats(now_s=self._loop.now_s())
        )

    def _take_step(
        self, use: SessionUse, request: Request, *, now_s: float, no_plan_reason: str
    ) -> list[Action]:
        return self._sessions.submit(request, use, now_s=now_s, no_plan_reason=no_plan_reason)

    def _do(self, actions: Iterable[Action]) -> None:
        for action in self._sessions.settle(actions, now_s=self._loop.now_s()):
            if isinstance(action, Send):
                self._send_out(action)
            else:
                self._answer(action)

    def _send_out(self, action: Send) -> None:
        try:
            self._send(action.node_id, Lane.STAGE, action.frame)
        except MeshError as error:
            _log.debug("a request could not be sent to node %s: %s", action.node_id, error)
            key = action.frame.request_key
            self._do(self._gateway.unsent(key, now_s=self._loop.now_s()))

    def _answer(self, answer: Answer) -> None:
        on_answer = self._waiting.pop(answer.key, None)
        if on_answer is None:
            return
        try:
            on_answer(answer)
        except Exception:  # noqa: BLE001 - a fault in one reply must not cost the others theirs
            _log.exception("an answer could not be handed over")

    def _keep_ticking(self) -> None:
        """Tick only while something is under way: an idle node sleeps."""
        if not self._ticking and self._gateway.next_due_s() is not None:
            self._ticking = True
            self._loop.after(TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        self._do(self._gateway.tick(now_s=self._loop.now_s()))
        self._do(self._sessions.tick(now_s=self._loop.now_s()))
        self._keep_ticking()


def make_dispatcher(
    config: Config, loop: Loop, *, me: NodeId, send: Callable[[NodeId, Lane, Frame], None]
) -> Dispatcher:
    """The dispatcher of a node, with its gateway and sessions as configured."""
    gateway = Gateway(me, max_queue=config.max_queue, max_in_flight=config.max_in_flight)
    sessions = Sessions(
        gateway, me=me, max_sessions=config.max_sessions, idle_s=config.session_idle_s
    )
    return Dispatcher(loop, gateway, sessions, send=send)
