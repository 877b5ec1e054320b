"""What a stage does with a frame: take it, refuse it or drop it, and where its result goes; no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mesh.errors import (
    MeshError,
    OverloadedError,
    RemoteError,
    SessionLostError,
    StaleEpochError,
)
from mesh.fleet.routes import Route
from mesh.ids import NodeId
from mesh.model.tensor import StageInterface
from mesh.pipeline.replica_choice import Turns
from mesh.pipeline.stage_sessions import StageSessions, State, zero_state
from mesh.pipeline.ways import NO_WAY, node_on
from mesh.wire import refusal
from mesh.wire.documents import Plan, PlanReplica
from mesh.wire.frame import Frame, FrameKind, FrameTensor, StageTime
from mesh.wire.topics import Lane

QUEUE_LIMIT = 32
"""Frames that wait for one stage; the gateways' windows keep it far from full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """The part of this node in a plan; `replica` is its place among the nodes of the stage."""

    plan: Plan
    stage: int
    interface: StageInterface
    replica: int = 0

    @property
    def planned(self) -> PlanReplica:
        """What the plan says of this node's part."""
        return self.plan.stages[self.stage].replicas[self.replica]

    @property
    def is_last(self) -> bool:
        return self.stage == len(self.plan.stages) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A frame to compute: the slice's inputs in its order."""

    role: Role
    frame: Frame
    arrived_s: float
    inputs: tuple[bytes | memoryview, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A frame on its way out; `others` could take it as well, the first one first."""

    node_id: NodeId
    lane: Lane
    frame: Frame
    others: tuple[NodeId, ...] = ()


def accept(
    role: Role | None,
    frame: Frame,
    *,
    queued: int,
    now_s: float,
    sessions: StageSessions | None = None,
) -> Work | Parcel:
    """Take the frame or refuse it towards its gateway. `role` is None for a plan not held here.

    A frame of no session is computed on zeros where the stage keeps state.
    """
    try:
        if role is None:
            raise StaleEpochError(f"epoch {frame.epoch} is not held here")
        if queued >= QUEUE_LIMIT:
            raise OverloadedError(f"stage {role.stage} has {queued} frames waiting")
        _check_tensors(role, frame)
        state = _state(role, frame, sessions, now_s)
        return Work(role=role, frame=frame, arrived_s=now_s, inputs=_inputs(role, frame, state))
    except MeshError as error:
        return refuse(frame, error)


def _state(role: Role, frame: Frame, sessions: StageSessions | None, now_s: float) -> State:
    """Raises: SessionLostError, OverloadedError."""
    if frame.step is None:
        return zero_state(role.interface)
    if sessions is None:
        raise SessionLostError("no sessions are kept at this stage")
    return sessions.take(frame.step, now_s=now_s)


def refuse(frame: Frame, error: Exception) -> Parcel:
    """The ERROR frame for the gateway that waits."""
    answer = replace(
        frame,
        kind=FrameKind.ERROR,
        tensors=(),
        step=None,
        error=refusal.encode(refusal.refusal_of(error)),
    )
    return Parcel(node_id=frame.sender, lane=Lane.RESULT, frame=answer)


def state_after(work: Work, outputs: Sequence[bytes]) -> State:
    """What the work leaves for the session's next step."""
    interface = work.role.interface
    made = {spec.index: data for spec, data in zip(interface.produced, outputs, strict=True)}
    return tuple(made[pair.output.index] for pair in interface.state)


def is_late(work: Work, *, now_s: float) -> bool:
    """Whether nobody waits for this any more: its gateway has answered for the deadline."""
    return now_s - work.arrived_s > work.frame.time_left_s


def forward(
    work: Work,
    outputs: Sequence[bytes | memoryview],
    *,
    compute_s: float,
    now_s: float,
    receivers: Sequence[NodeId],
) -> Parcel:
    """The frame for the next stage, or the result for the gateway.

    `receivers` are the nodes of the next stage that may get it, as `next_receivers` orders them.
    """
    role, frame = work.role, work.frame
    available = {tensor.index: tensor.data for tensor in frame.tensors}
    available |= {
        spec.index: data for spec, data in zip(role.interface.produced, outputs, strict=True)
    }
    elapsed_s = now_s - work.arrived_s
    timing = StageTime(
        stage=role.stage,
        replica=role.replica,
        queue_s=max(0.0, elapsed_s - compute_s),
        compute_s=compute_s,
    )
    onward = replace(
        frame,
        kind=FrameKind.RESULT if role.is_last else frame.kind,
        step=None if role.is_last else frame.step,
        stage=role.stage if role.is_last else role.stage + 1,
        time_left_s=max(0.0, frame.time_left_s - elapsed_s),
        timings=(*frame.timings, timing),
        tensors=tuple(
            FrameTensor(index=spec.index, data=available[spec.index])
            for spec in role.interface.sent
        ),
    )
    if role.is_last:
        return Parcel(node_id=frame.sender, lane=Lane.RESULT, frame=onward)
    chosen, *others = receivers
    return Parcel(node_id=chosen, lane=Lane.STAGE, frame=onward, others=tuple(others))


def next_receivers(
    role: Role, frame: Frame, route: Route, turns: Turns[NodeId]
) -> tuple[NodeId, ...]:
    """Who of the next stage gets the frame, and who may get it where that fails; none after the last.

    A step of a session goes where its way leads, or nowhere.
    """
    if role.is_last:
        return ()
    named = node_on(role.plan.stages[role.stage + 1], frame.way)
    if frame.step is not None:
        return (named,)
    shares = route.shares(role.stage + 1)
    chosen = named if frame.way != NO_WAY and named in shares else turns.next(shares)
    return (chosen, *sorted(shares.keys() - {chosen}, key=lambda n: (-shares[n], n)))


def _check_tensors(role: Role, frame: Frame) -> None:
    """Raises: RemoteError."""
    found = {tensor.index: tensor.data for tensor in frame.tensors}
    for spec in role.interface.received:
        size_bytes = len(found[spec.index]) if spec.index in found else None
        if size_bytes != spec.size_bytes:
            raise RemoteError(
                f"stage {role.stage} expects tensor {spec.index} ({spec.name}) of "
                f"{spec.size_bytes} bytes, the frame has {size_bytes}"
            )


def _inputs(role: Role, frame: Frame, state: State) -> tuple[bytes | memoryview, ...]:
    """The tensors that enter the slice: those that came, and the state that stayed here."""
    found = {tensor.index: tensor.data for tensor in frame.tensors}
    kept = {pair.input.index: data for pair, data in zip(role.interface.state, state, strict=True)}
    return tuple((found | kept)[spec.index] for spec in role.interface.consumed)
