"""One stage that this node holds, as the loop and the stage's own thread share it; run elsewhere."""

import queue
import threading
from collections import deque
from dataclasses import dataclass, field

from mesh.errors import ChildDiedError
from mesh.ids import SessionKey
from mesh.model import Model
from mesh.model.tensor import StageInterface
from mesh.node.own_interpreters import OwnInterpreters
from mesh.node.revival import Death
from mesh.pipeline.stage import Role, Work
from mesh.pipeline.stage_sessions import StageSessions
from mesh.runtime.port import LoadedSlice
from mesh.wire.documents import StageStatus

RECENT_RUNS = 16
"""How many runs tell what is usual for a slice."""


@dataclass(slots=True, kw_only=True)
class HeldStage:
    """A stage and its thread. Only the loop's thread writes `status` and touches `sessions`.

    A session's key in `work` means that its interpreter is to end.
    """

    role: Role
    status: StageStatus
    sessions: StageSessions
    threads: int
    work: "queue.SimpleQueue[Work | SessionKey | None]" = field(default_factory=queue.SimpleQueue)
    own: OwnInterpreters = field(default_factory=OwnInterpreters)
    queued: int = 0
    slice: LoadedSlice | None = None
    runs_s: "deque[float]" = field(default_factory=lambda: deque(maxlen=RECENT_RUNS))
    slice_bytes: int = 0
    died_of: str = ""
    deaths: tuple[Death, ...] = ()
    closed: threading.Event = field(default_factory=threading.Event)


def is_whole(interface: StageInterface, model: Model) -> bool:
    """Whether the file itself takes and gives what the stage does, in the same order."""
    return (interface.consumed, interface.produced) == (model.graph_inputs, model.graph_outputs)


def owner_of(work: Work) -> SessionKey:
    """Whose interpreter computes it, where each has its own: the session's, else the request's."""
    step = work.frame.step
    return SessionKey(work.frame.request_key) if step is None else step.key


def interpreter_of(held: HeldStage, work: Work) -> LoadedSlice:
    """The one that computes it: where the slice remembers, the session's own or a fresh one.

    Raises: ChildDiedError, SessionLostError.
    """
    step, is_shared = work.frame.step, not held.role.interface.keeps_hidden_state
    if step is not None and step.number > 0 and not is_shared:
        return held.own.find(step.key)
    if held.slice is None:
        raise ChildDiedError("the stage has no interpreter")
    if is_shared:
        return held.slice
    fresh, held.slice = held.slice, None
    return held.own.give(owner_of(work), fresh)


def drop_session(held: HeldStage, key: SessionKey) -> None:
    """Forget a session, and end its interpreter if it has one."""
    held.sessions.drop(key)
    held.work.put(key)
