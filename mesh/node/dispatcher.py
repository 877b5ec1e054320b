"""Carries out what the gateway decides: frames out, answers back to whoever asked, timers."""

import logging
import secrets
from collections.abc import Callable, Iterable, Sequence

from mesh.errors import MeshError, RemoteError
from mesh.ids import ModelId, NodeId, RequestKey
from mesh.model.tensor import TensorSpec
from mesh.node.loop import Loop
from mesh.pipeline.gateway import Action, Answer, Gateway, Request, Send
from mesh.wire import refusal
from mesh.wire.documents import GatewayStats, Plan
from mesh.wire.frame import Frame, FrameKind, FrameTensor
from mesh.wire.topics import Lane

_log = logging.getLogger("mesh.gateway")

TICK_S = 0.02

OnAnswer = Callable[[Answer], None]


class Dispatcher:
    """The gateway with its surroundings; everything runs on the loop's thread."""

    def __init__(
        self,
        loop: Loop,
        gateway: Gateway,
        *,
        send: Callable[[NodeId, Lane, Frame], None],
    ) -> None:
        self._loop = loop
        self._gateway = gateway
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
    ) -> None:
        """Put a request through the pipeline; `on_answer` is called exactly once."""
        now_s = self._loop.now_s()
        request = Request(
            key=RequestKey(secrets.token_bytes(16)),
            model_id=model_id,
            tensors=tuple(FrameTensor(index=spec.index, data=data) for spec, data in inputs),
            outputs=tuple(outputs),
            arrived_s=now_s,
            deadline_s=now_s + timeout_s,
            pinned=pinned,
        )
        self._waiting[request.key] = on_answer
        self._do(self._gateway.submit(request, now_s=now_s, no_plan_reason=no_plan_reason))
        self._keep_ticking()

    def set_plan(self, model_id: ModelId, plan: Plan | None) -> None:
        self._do(self._gateway.set_plan(model_id, plan, now_s=self._loop.now_s()))

    def drop_model(self, model_id: ModelId, reason: str) -> None:
        self._do(self._gateway.drop_model(model_id, now_s=self._loop.now_s(), reason=reason))

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
        return self._gateway.stats(now_s=self._loop.now_s())

    def _do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self._send_out(action)
            else:
                self._answer(action)

    def _send_out(self, action: Send) -> None:
        try:
            self._send(action.node_id, Lane.STAGE, action.frame)
        except MeshError as error:
            _log.debug("a request could not be sent to node %s: %s", action.node_id, error)
            self._gateway.unsent(action.frame.request_key, now_s=self._loop.now_s())

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
        self._keep_ticking()
