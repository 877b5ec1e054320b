"""Sessions at their gateway: one step after another by one plan, or an error, never a wrong answer; no I/O.

    (unknown) ──start──▶ OPEN ──end──▶ (unknown)
                         │  ▲
       a step is lost,   │  │ start: anew, from zeros
       a node is lost,   ▼  │
       silence          LOST         every other request of it: SESSION_LOST

A step that may have been computed is never computed again. All that the gateway decides passes
`settle`, which sees the answers to steps and lets the next one go.
"""

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from mesh.errors import MeshError, OverloadedError, SessionLostError, UnknownSessionError
from mesh.ids import ModelId, NodeId, RequestKey, SessionKey
from mesh.pipeline.gateway import Gateway
from mesh.pipeline.request import Action, Answer, Request, Send, refuse
from mesh.pipeline.ways import NO_WAY, nodes_on
from mesh.wire.documents import Plan
from mesh.wire.frame import Frame, FrameKind, SessionStep
from mesh.wire.infer import SessionUse
from mesh.wire.refusal import Refusal

MAX_WAITING_STEPS = 32
"""Requests of one session that wait for those before them."""
MAX_LOST = 1024
"""Lost sessions that are remembered as such; those before them are unknown."""

_Name = tuple[ModelId, str]


@dataclass(slots=True, kw_only=True)
class _Session:
    """An open session: all its steps go by one `plan` and `way`.

    `is_ending`: nothing comes behind what waits; `current` is the step under way.
    """

    name: _Name
    key: SessionKey
    used_s: float
    taken: int = 0
    plan: Plan | None = None
    way: int = NO_WAY
    is_ending: bool = False
    current: Request | None = None
    waiting: "deque[tuple[Request, SessionUse]]" = field(default_factory=deque)


class Sessions:
    """The sessions that began at this node, in front of its gateway."""

    def __init__(self, gateway: Gateway, *, me: NodeId, max_sessions: int, idle_s: float) -> None:
        self._gateway = gateway
        self._me = me
        self._max_sessions = max_sessions
        self._idle_s = idle_s
        self._open: dict[SessionKey, _Session] = {}
        self._named: dict[_Name, _Session] = {}
        self._steps: dict[RequestKey, _Session] = {}
        self._lost: OrderedDict[_Name, str] = OrderedDict()

    def open_of(self, model_id: ModelId) -> int:
        """How many sessions of the model are open."""
        return sum(session.name[0] == model_id for session in self._open.values())

    def submit(
        self, request: Request, use: SessionUse, *, now_s: float, no_plan_reason: str
    ) -> list[Action]:
        """Take the next request of a session; one without tensors only ends it."""
        name = (request.model_id, use.name)
        try:
            actions = self._begin(name, request, now_s) if use.starts else []
            session = self._find(name)
            if len(session.waiting) >= MAX_WAITING_STEPS:
                raise OverloadedError(
                    f"{MAX_WAITING_STEPS} requests of session {use.name!r} wait already: this one "
                    "was not taken; send each when the one before is answered"
                )
        except MeshError as error:
            return [refuse(request, error, now_s)]
        session.waiting.append((request, use))
        session.used_s = now_s
        if use.ends:
            self._retire(session)
        return actions + self._advance(session, now_s, no_plan_reason)

    def settle(self, actions: Iterable[Action], *, now_s: float) -> list[Action]:
        """What the gateway decided, and what follows from it for sessions."""
        settled: list[Action] = []
        for action in actions:
            session = self._steps.pop(action.key, None) if isinstance(action, Answer) else None
            if session is None or isinstance(action, Send):
                settled.append(action)
            else:
                settled += self._answered(session, action, now_s)
        return settled

    def keep(
        self, *, present: Collection[NodeId], reborn: Collection[NodeId], now_s: float
    ) -> list[Action]:
        """Lose the sessions whose nodes are gone or began a new life, and those long silent."""
        actions: list[Action] = []
        for session in list(self._open.values()):
            reason = _node_trouble(session, present, reborn)
            if reason is None and self._is_idle(session, now_s):
                reason = f"no request of it came for {self._idle_s:g} s"
            if reason is not None:
                actions += self._lose(session, reason, now_s)
        return actions

    def tick(self, *, now_s: float) -> list[Action]:
        """Lose the sessions of which a request waited until its deadline."""
        actions: list[Action] = []
        for session in [s for s in self._open.values() if s.waiting]:
            if any(now_s >= request.deadline_s for request, _ in session.waiting):
                actions += self._lose(session, "a request of it waited until its deadline", now_s)
        return actions

    def lose(self, key: SessionKey, reason: str, *, now_s: float) -> list[Action]:
        """The answer to a step of it was lost; harmless when it is over."""
        session = self._open.get(key)
        return [] if session is None else self._lose(session, reason, now_s)

    def drop_model(self, model_id: ModelId, *, now_s: float, reason: str) -> list[Action]:
        """The model is not served any more."""
        gone = [session for session in self._open.values() if session.name[0] == model_id]
        return [action for session in gone for action in self._lose(session, reason, now_s)]

    def _begin(self, name: _Name, request: Request, now_s: float) -> list[Action]:
        """Open a session; one of the same name lives on until its last answer. Raises: OverloadedError."""
        if len(self._open) >= self._max_sessions and not self._is_replaceable(name):
            raise OverloadedError(
                f"{len(self._open)} sessions are open at this node: end some with session_end, ask "
                "another node, or raise max_sessions"
            )
        self._lost.pop(name, None)
        actions: list[Action] = []
        before = self._named.get(name)
        if before is not None:
            self._retire(before)
            actions = self._advance(before, now_s)
        session = _Session(name=name, key=SessionKey(request.key), used_s=now_s)
        self._named[name] = self._open[session.key] = session
        return actions

    def _is_replaceable(self, name: _Name) -> bool:
        session = self._named.get(name)
        return session is not None and session.current is None

    def _find(self, name: _Name) -> _Session:
        """Raises: SessionLostError, UnknownSessionError."""
        if name in self._named:
            return self._named[name]
        if name in self._lost:
            raise _lost_error(name, self._lost[name])
        raise UnknownSessionError(
            f"there is no session {name[1]!r} of this model at this node: begin one with "
            "session_start, and send all its requests to the node that it began at"
        )

    def _retire(self, session: _Session) -> None:
        """Take no more requests under its name; what was taken is still answered."""
        session.is_ending = True
        if self._named.get(session.name) is session:
            del self._named[session.name]

    def _is_idle(self, session: _Session, now_s: float) -> bool:
        return session.current is None and now_s - session.used_s >= self._idle_s

    def _advance(self, session: _Session, now_s: float, no_plan_reason: str = "") -> list[Action]:
        """Let the next request go when it is its turn; only the first one can find no plan."""
        if session.current is not None or session.key not in self._open:
            return []
        if not session.waiting:
            return self._close(session) if session.is_ending else []
        request, use = session.waiting.popleft()
        if not request.tensors:
            answer = Answer(key=request.key, total_s=now_s - request.arrived_s)
            return [answer, *self._close(session)]
        request.pinned, request.way = session.plan, session.way
        request.step = SessionStep(key=session.key, number=session.taken, ends=use.ends)
        session.current = request
        self._steps[request.key] = session
        decided = self._gateway.submit(request, now_s=now_s, no_plan_reason=no_plan_reason)
        return self.settle(decided, now_s=now_s)

    def _answered(self, session: _Session, answer: Answer, now_s: float) -> list[Action]:
        request, session.current = session.current, None
        if request is None or request.step is None:
            return [answer]
        session.plan, session.way, session.used_s = request.pinned, request.way, now_s
        if answer.refusal is None:
            session.taken += 1
            if request.step.ends:
                self._forget(session)
            return [replace(answer, session=session.key), *self._advance(session, now_s)]
        refusal = answer.refusal
        after = self._lose(session, refusal.message, now_s)
        if not _is_untouched(request, refusal):
            refusal = _as_lost(session.name, refusal.message)
        return [replace(answer, refusal=refusal), *after]

    def _lose(self, session: _Session, reason: str, now_s: float) -> list[Action]:
        """Nothing of it can be answered any more."""
        error = _lost_error(session.name, reason)
        actions: list[Action] = []
        if self._named.get(session.name, session) is session:
            self._lost[session.name] = reason
            while len(self._lost) > MAX_LOST:
                self._lost.popitem(last=False)
        if session.current is not None:
            current, session.current = session.current, None
            session.plan, session.way = current.pinned, current.way
            self._steps.pop(current.key, None)
            actions += self.settle(
                self._gateway.give_up(current.key, error, now_s=now_s), now_s=now_s
            )
        actions += [refuse(request, error, now_s) for request, _ in session.waiting]
        session.waiting.clear()
        return actions + self._close(session)

    def _close(self, session: _Session) -> list[Action]:
        """Forget it here and at the nodes that it passes."""
        self._forget(session)
        if session.plan is None:
            return []
        return [
            Send(node_id=node_id, frame=self._drop_frame(session, session.plan, number))
            for number, node_id in enumerate(nodes_on(session.plan, session.way))
        ]

    def _forget(self, session: _Session) -> None:
        self._open.pop(session.key, None)
        if self._named.get(session.name) is session:
            del self._named[session.name]

    def _drop_frame(self, session: _Session, plan: Plan, stage: int) -> Frame:
        return Frame(
            kind=FrameKind.DROP,
            request_key=RequestKey(session.key),
            sender=self._me,
            plan_id=plan.plan_id,
            epoch=plan.epoch,
            stage=stage,
            way=session.way,
            step=SessionStep(key=session.key, number=session.taken, ends=True),
        )


def _is_untouched(request: Request, refusal: Refusal) -> bool:
    """Whether no stage has computed anything of the session: it may begin again at once."""
    is_first = request.step is not None and request.step.number == 0
    return is_first and (request.attempt == 0 or refusal.code == OverloadedError.code)


def _node_trouble(
    session: _Session, present: Collection[NodeId], reborn: Collection[NodeId]
) -> str | None:
    plan, way = session.plan, session.way
    if plan is None and session.current is not None:
        plan, way = session.current.pinned, session.current.way
    for node_id in nodes_on(plan, way) if plan is not None else ():
        if node_id not in present:
            return f"node {node_id}, which held its state, is lost"
        if node_id in reborn:
            return f"node {node_id}, which held its state, was restarted"
    return None


def _lost_error(name: _Name, reason: str) -> SessionLostError:
    return SessionLostError(
        f"session {name[1]!r} is lost: {reason}. Begin a new one with session_start"
    )


def _as_lost(name: _Name, reason: str) -> Refusal:
    error = _lost_error(name, reason)
    return Refusal(code=error.code, message=str(error)[:1000], retryable=False)
