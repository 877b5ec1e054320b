"""What a stage keeps of the sessions that pass it: which step is next, and their state; no I/O.

A step that is not the next one is refused, so none is computed twice or on another's state. The
interpreters that hidden state takes are counted here and kept by the caller.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from mesh.config import Config
from mesh.errors import OverloadedError, SessionLostError
from mesh.ids import SessionKey
from mesh.model.tensor import StageInterface
from mesh.wire.frame import SessionStep

MAX_GONE = 1024
"""Sessions dropped of late, whose frames may still be on their way."""
PATIENCE = 2.0
"""A stage waits so many times longer for a session's next step than its gateway, which says DROP."""

State = tuple[bytes, ...]
"""The content of each pair of the stage's interface, in its order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """What sessions may take: each stage holds `max_sessions`, all stages of a node the rest."""

    max_sessions: int
    max_interpreters: int
    max_state_bytes: int
    idle_s: float

    @classmethod
    def of(cls, config: Config) -> "SessionLimits":
        return cls(
            max_sessions=config.max_sessions,
            max_interpreters=config.max_session_interpreters,
            max_state_bytes=config.max_session_bytes,
            idle_s=config.session_idle_s,
        )


class SessionRoom:
    """What the sessions at all stages of a node take together."""

    def __init__(self, limits: SessionLimits) -> None:
        self.limits = limits
        self.state_bytes = 0
        self.interpreters = 0

    def take(self, *, state_bytes: int, interpreters: int) -> None:
        """Raises: OverloadedError when there is no room left."""
        if self.interpreters + interpreters > self.limits.max_interpreters:
            raise OverloadedError(
                f"{self.interpreters} sessions hold an interpreter of this node each, which is all "
                "it may give: end some, or raise max_session_interpreters"
            )
        if self.state_bytes + state_bytes > self.limits.max_state_bytes:
            raise OverloadedError(
                f"the state of this node's sessions takes {self.state_bytes} bytes and another one "
                f"{state_bytes}: end some, or raise max_session_bytes"
            )
        self.state_bytes += state_bytes
        self.interpreters += interpreters

    def give_back(self, *, state_bytes: int, interpreters: int) -> None:
        self.state_bytes -= state_bytes
        self.interpreters -= interpreters


@dataclass(slots=True, kw_only=True)
class _Passing:
    """One session here; `state` is None while its step is computed."""

    state: State | None
    used_s: float
    next: int = 0


class StageSessions:
    """The sessions that pass one stage."""

    def __init__(self, interface: StageInterface, room: SessionRoom) -> None:
        self._zeros = zero_state(interface)
        self._costs = {
            "state_bytes": sum(map(len, self._zeros)),
            "interpreters": int(interface.keeps_hidden_state),
        }
        self._room = room
        self._passing: dict[SessionKey, _Passing] = {}
        self._gone: OrderedDict[SessionKey, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._passing)

    def take(self, step: SessionStep, *, now_s: float) -> State:
        """Begin a step: the state that it is computed on.

        Raises: SessionLostError when it is not the next one, OverloadedError for a session too many.
        """
        passing = self._passing.get(step.key)
        if passing is None:
            passing = self._admit(step, now_s)
        if step.number > passing.next:
            raise SessionLostError(f"step {step.number} came where {passing.next} is the next one")
        if step.number < passing.next or passing.state is None:
            raise SessionLostError(f"step {step.number} came twice: it is not computed again")
        state, passing.state = passing.state, None
        passing.next, passing.used_s = step.number + 1, now_s
        return state

    def done(self, step: SessionStep, state: Sequence[bytes], *, now_s: float) -> None:
        """The step was computed: keep what it left, unless the session ends or was dropped."""
        passing = self._passing.get(step.key)
        if step.ends:
            self.drop(step.key)
        elif passing is not None:
            passing.state, passing.used_s = tuple(state), now_s

    def drop(self, key: SessionKey) -> bool:
        """Forget a session, also one whose first step is still to come; False when it is not here."""
        self._gone[key] = None
        if len(self._gone) > MAX_GONE:
            self._gone.popitem(last=False)
        if self._passing.pop(key, None) is None:
            return False
        self._room.give_back(**self._costs)
        return True

    def expire(self, *, now_s: float) -> tuple[SessionKey, ...]:
        """Forget the sessions whose next step has not come for long: their gateway may be gone."""
        since_s = now_s - PATIENCE * self._room.limits.idle_s
        silent = tuple(
            key
            for key, passing in self._passing.items()
            if passing.state is not None and passing.used_s <= since_s
        )
        for key in silent:
            self.drop(key)
        return silent

    def clear(self) -> None:
        """Forget all."""
        for key in list(self._passing):
            self.drop(key)

    def _admit(self, step: SessionStep, now_s: float) -> _Passing:
        """Raises: SessionLostError, OverloadedError."""
        if step.number != 0 or step.key in self._gone:
            raise SessionLostError(f"its state is not at this stage, where step {step.number} came")
        if len(self._passing) >= self._room.limits.max_sessions:
            raise OverloadedError(
                f"{len(self._passing)} sessions pass this stage already: end some, or raise "
                "max_sessions"
            )
        self._room.take(**self._costs)
        self._passing[step.key] = _Passing(state=self._zeros, used_s=now_s)
        return self._passing[step.key]


def zero_state(interface: StageInterface) -> State:
    """The state of a session that begins."""
    return tuple(bytes(pair.input.size_bytes) for pair in interface.state)
