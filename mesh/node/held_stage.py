"""One stage that this node holds, as the loop and the stage's own thread share it; run elsewhere."""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mesh.errors import ChildDiedError, MeshError, OverloadedError
from mesh.ids import NodeId, SessionKey
from mesh.model import Model
from mesh.model.tensor import StageInterface
from mesh.node.hang import invoke_deadline_s
from mesh.node.own_interpreters import OwnInterpreters
from mesh.node.recent_runs import RecentRuns
from mesh.node.revival import Death
from mesh.pipeline.replica_choice import Turns
from mesh.pipeline.stage import Role, Work
from mesh.pipeline.stage_sessions import StageSessions
from mesh.runtime.port import LoadedSlice
from mesh.wire.documents import StageStatus

_log = logging.getLogger("mesh.stages")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A model on this node's disk, read."""

    path: Path
    model: Model


@dataclass(slots=True, kw_only=True)
class HeldStage:
    """A stage and its thread. Only the loop's thread writes `status` and touches `sessions`.

    A session's key in `work` means that its interpreter is to end. `turns` are those of the next
    stage's nodes.
    """

    role: Role
    status: StageStatus
    sessions: StageSessions
    threads: int
    work: "queue.SimpleQueue[Work | SessionKey | None]" = field(default_factory=queue.SimpleQueue)
    own: OwnInterpreters = field(default_factory=OwnInterpreters)
    queued: int = 0
    slice: LoadedSlice | None = None
    runs: RecentRuns = field(default_factory=RecentRuns)
    turns: "Turns[NodeId]" = field(default_factory=Turns)
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

    Raises: OverloadedError, SessionLostError.
    """
    step, is_shared = work.frame.step, not held.role.interface.keeps_hidden_state
    if step is not None and step.number > 0 and not is_shared:
        return held.own.find(step.key)
    if held.slice is None:
        raise OverloadedError(
            f"{len(held.own)} sessions hold an interpreter of this stage each and there is no room "
            "for another one: end some, or give the node more memory"
        )
    if is_shared:
        return held.slice
    fresh, held.slice = held.slice, None
    return held.own.give(owner_of(work), fresh)


def needs_fresh(work: Work | SessionKey) -> bool:
    """Whether a fresh interpreter may be wanted after it: later steps of a session take and leave none."""
    return not isinstance(work, Work) or work.frame.step is None or work.frame.step.number == 0


def drop_session(held: HeldStage, key: SessionKey) -> None:
    """Forget a session, and end its interpreter if it has one."""
    if held.sessions.drop(key):
        held.work.put(key)


def refill(held: HeldStage, load: Callable[[], LoadedSlice]) -> LoadedSlice | None:
    """Have a fresh interpreter wait for who comes next; None while there is no room for one.

    Sessions that have theirs go on without. Raises: as `Runtime.load`.
    """
    try:
        held.slice = load()
    except ChildDiedError:
        raise
    except MeshError as error:
        if not len(held.own):
            raise
        _log.warning("stage %d: no interpreter for another session: %s", held.role.stage, error)
    return held.slice


def note_death(held: HeldStage, error: MeshError) -> None:
    """Keep for the verdict what the interpreter died of."""
    held.died_of = str(error)
    _log.warning("stage %d: %s", held.role.stage, error)


def deadline_s(held: HeldStage) -> float:
    """How long its next run may take."""
    return invoke_deadline_s(
        held.runs.times_s, planned_s=held.role.planned.compute_s, slice_bytes=held.slice_bytes
    )
