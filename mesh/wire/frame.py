"""The binary frame between nodes: one padded header, then raw tensors; no meaning is decided here.

Little-endian. A fixed part, then one entry per finished stage and one per tensor, then zeros up to
a multiple of 64 bytes, then the tensors, each starting at a multiple of 64 (so that a view of it is
aligned). An ERROR carries a JSON object {code, message, retryable} in place of tensors. STEP and
DROP have one more entry, last in the header: which session, and where in it.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from mesh.errors import RemoteError
from mesh.ids import Epoch, NodeId, PlanId, RequestKey, SessionKey

MAGIC = b"EMF1"
ALIGNMENT_BYTES = 64
MAX_TENSORS = 1024
MAX_TIMINGS = 256
MAX_ERROR_BYTES = 16384  # the longest message, escaped as JSON

# magic, crc32 of all that follows it, kind, attempt, stage, way, timings, tensors, header bytes,
# epoch, plan id, request key, sender, seconds left
_FIXED = struct.Struct("<4sIBBBBHHIQ8s16s8sf")
_CRC_END = 8
# stage, which of its replicas, microseconds waited, microseconds computed
_TIMING = struct.Struct("<BBII")
# tensor index in the whole model, size in bytes
_TENSOR = struct.Struct("<IQ")
# session key, number of the step, 1 = the last one
_SESSION = struct.Struct("<16sIB")
_MAX_US = 2**32 - 1


class FrameKind(IntEnum):
    ACTIVATION = 1  # to a stage
    RESULT = 2  # to the gateway
    ERROR = 3  # to the gateway
    PROBE = 4  # link measurement: a payload of zeros
    ECHO = 5  # … and its empty answer
    STEP = 6  # to a stage: an ACTIVATION that belongs to a session
    DROP = 7  # to a stage: forget a session; nobody answers


_OF_SESSIONS = (FrameKind.STEP, FrameKind.DROP)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStep:
    """One step of a session, counted from 0; `ends` with the last one."""

    key: SessionKey
    number: int
    ends: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """What one stage reports of one request; `replica` is the node's place in the plan's stage."""

    stage: int
    queue_s: float
    compute_s: float
    replica: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTensor:
    """`index` names the tensor in the whole model; its type and shape are the plan's."""

    index: int
    data: bytes | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """`sender` is the gateway that waits for the result, for every kind but PROBE and ECHO.

    `stage` is the stage addressed (ACTIVATION) or the stage that speaks (RESULT, ERROR).
    `way` names one replica of each stage, 0 none (`mesh.pipeline.ways`). `time_left_s` counts from
    the sending: no clocks are compared. `step` is there in a STEP and a DROP alone.
    """

    kind: FrameKind
    request_key: RequestKey
    sender: NodeId
    plan_id: PlanId = PlanId("0" * 16)
    epoch: Epoch = Epoch(0)
    stage: int = 0
    way: int = 0
    attempt: int = 0
    time_left_s: float = 0.0
    timings: tuple[StageTime, ...] = ()
    tensors: tuple[FrameTensor, ...] = ()
    error: bytes = b""
    step: SessionStep | None = None

    def __post_init__(self) -> None:
        if (self.step is not None) != (self.kind in _OF_SESSIONS):
            raise ValueError(f"a frame of kind {self.kind.name} and its session do not fit")


def encode(frame: Frame) -> bytes:
    """Lay the frame out with one copy of each tensor."""
    entries = b"".join(
        [_TIMING.pack(t.stage, t.replica, _us(t.queue_s), _us(t.compute_s)) for t in frame.timings]
        + [_TENSOR.pack(t.index, len(t.data)) for t in frame.tensors]
        + [_SESSION.pack(s.key, s.number, s.ends) for s in (frame.step,) if s is not None]
    )
    header_bytes = _aligned(_FIXED.size + len(entries))
    fixed = _FIXED.pack(
        MAGIC,
        0,
        frame.kind,
        frame.attempt & 0xFF,
        frame.stage,
        frame.way,
        len(frame.timings),
        len(frame.tensors),
        header_bytes,
        frame.epoch,
        bytes.fromhex(frame.plan_id),
        frame.request_key,
        bytes.fromhex(frame.sender),
        frame.time_left_s,
    )
    pad = bytes(header_bytes - len(fixed) - len(entries))
    parts = [fixed[_CRC_END:], entries, pad, *_padded(frame.tensors), frame.error]
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return b"".join([MAGIC, crc.to_bytes(4, "little"), *parts])


def decode(payload: bytes, *, max_bytes: int) -> Frame:
    """Check and open a frame; tensors are views of `payload`. Raises: RemoteError."""
    if not _FIXED.size <= len(payload) <= max_bytes:
        raise RemoteError(
            f"a frame of {len(payload)} bytes: {_FIXED.size} to {max_bytes} are allowed"
        )
    view = memoryview(payload)
    (
        magic,
        crc,
        kind,
        attempt,
        stage,
        way,
        timing_count,
        tensor_count,
        header_bytes,
        epoch,
        plan_id,
        request_key,
        sender,
        time_left_s,
    ) = _FIXED.unpack_from(view)
    if magic != MAGIC:
        raise RemoteError("not a frame of this protocol version")
    if zlib.crc32(view[_CRC_END:]) != crc:
        raise RemoteError("a frame was damaged on its way (checksum)")
    if timing_count > MAX_TIMINGS or tensor_count > MAX_TENSORS:
        raise RemoteError(f"a frame of {tensor_count} tensors and {timing_count} stage times")
    try:
        frame_kind = FrameKind(kind)
    except ValueError as error:
        raise RemoteError(f"a frame of unknown kind {kind}") from error
    is_error, is_step = frame_kind is FrameKind.ERROR, frame_kind in _OF_SESSIONS
    tensors_start = _FIXED.size + timing_count * _TIMING.size
    tensors_end = tensors_start + tensor_count * _TENSOR.size
    entries_end = tensors_end + is_step * _SESSION.size
    if header_bytes != _aligned(entries_end) or header_bytes > len(payload):
        raise RemoteError("a frame whose header length does not fit its entries")
    return Frame(
        kind=frame_kind,
        request_key=RequestKey(request_key),
        sender=NodeId(sender.hex()),
        plan_id=PlanId(plan_id.hex()),
        epoch=Epoch(epoch),
        stage=stage,
        way=way,
        attempt=attempt,
        time_left_s=_finite(time_left_s),
        timings=_timings(view[_FIXED.size : tensors_start]),
        tensors=() if is_error else _tensors(view, tensors_start, tensor_count, header_bytes),
        error=_error(view[header_bytes:]) if is_error else b"",
        step=_step(view, tensors_end) if is_step else None,
    )


def _timings(view: memoryview) -> tuple[StageTime, ...]:
    return tuple(
        StageTime(stage=stage, replica=replica, queue_s=queue_us / 1e6, compute_s=compute_us / 1e6)
        for stage, replica, queue_us, compute_us in _TIMING.iter_unpack(view)
    )


def _tensors(
    view: memoryview, entries_start: int, count: int, offset: int
) -> tuple[FrameTensor, ...]:
    tensors = []
    for i in range(count):
        index, size = _TENSOR.unpack_from(view, entries_start + i * _TENSOR.size)
        if size > len(view) - offset:
            raise RemoteError(f"tensor {index} reaches past the end of its frame")
        tensors.append(FrameTensor(index=index, data=view[offset : offset + size]))
        offset = _aligned(offset + size)
    if offset != len(view):
        raise RemoteError("a frame whose tensors do not fill it")
    return tuple(tensors)


def _step(view: memoryview, start: int) -> SessionStep:
    key, number, ends = _SESSION.unpack_from(view, start)
    if ends > 1:
        raise RemoteError("a session's step that neither ends it nor goes on")
    return SessionStep(key=SessionKey(key), number=number, ends=bool(ends))


def _padded(tensors: Sequence[FrameTensor]) -> list[bytes | memoryview]:
    parts: list[bytes | memoryview] = []
    for tensor in tensors:
        parts.append(tensor.data)
        parts.append(bytes(-len(tensor.data) % ALIGNMENT_BYTES))
    return parts


def _error(view: memoryview) -> bytes:
    if len(view) > MAX_ERROR_BYTES:
        raise RemoteError("an error frame that is too long")
    return bytes(view)


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _us(seconds: float) -> int:
    return min(_MAX_US, max(0, round(seconds * 1e6)))


def _finite(seconds: float) -> float:
    if not 0 <= seconds < 1e6:
        raise RemoteError("a frame without a sound time left")
    return float(seconds)
