"""What messages cost this node's processor: frames to itself through its own broker, and what it takes idle.

A frame to oneself is sent and received once, by node and broker: that is what a stage does with
every request. Nothing is decided here.
"""

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mesh.errors import MeshError, TooLargeError
from mesh.fleet.links import (
    REFRESH_S,
    TIMEOUT_S,
    ProcessorCost,
    Work,
    background_cores,
    message_cost,
)
from mesh.ids import NodeId, RequestKey
from mesh.node.loop import Loop
from mesh.wire.frame import Frame, FrameKind, FrameTensor

BATCH_FRAMES = 8
"""Frames between two looks at the processor's clock."""
BATCHES = 16
"""Of each measurement, half of them with large frames."""
SPACING_S = 0.01
"""Between two frames: as with requests, threads sleep meanwhile and caches cool."""
LARGE_BYTES = 512 << 10
"""About what crosses a cut: a frame that fits the caches would cost less than those that count."""
LEAST_LARGE_BYTES = 1024
WINDOW_S = 2.0
"""The least time over which idle work is counted."""
WINDOWS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is measured: the way to oneself through the broker, and clocks.

    `processor_s` = what node and broker have used so far; `carried` = frames of requests so far.
    """

    send: Callable[[Frame], None]
    processor_s: Callable[[], float]
    carried: Callable[[], int]


@dataclass(slots=True, kw_only=True)
class _Batch:
    size_bytes: int
    began_s: float
    processor_s: float
    left: int
    key: RequestKey = RequestKey(b"")


class MessageCost:
    """On the loop's thread."""

    def __init__(
        self, loop: Loop, around: Surroundings, *, me: NodeId, on_change: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._around = around
        self._me = me
        self._on_change = on_change
        self._large_bytes = LARGE_BYTES
        self._batch: _Batch | None = None
        self._done: list[Work] = []
        self._measured_s: float | None = None
        self._window: tuple[float, float, int] | None = None
        self._idle: deque[float] = deque(maxlen=WINDOWS)
        self.known = ProcessorCost()

    def keep(self) -> None:
        """Look at the clocks, and go on measuring where that is due; about once a second."""
        now_s = self._loop.now_s()
        if self._batch is not None and now_s - self._batch.began_s < TIMEOUT_S:
            return
        self._count_idle(now_s)
        if self._measured_s is None or now_s - self._measured_s > REFRESH_S:
            self._begin(now_s)

    def arrived(self, frame: Frame) -> None:
        """An own frame came back."""
        batch = self._batch
        if batch is None or frame.request_key != batch.key:
            return
        batch.left -= 1
        if batch.left:
            self._loop.after(SPACING_S, lambda: self._send(batch))
            return
        self._batch = self._window = None
        used_s = self._around.processor_s() - batch.processor_s
        self._done.append(Work(size_bytes=batch.size_bytes, core_s=used_s / BATCH_FRAMES))
        if len(self._done) == BATCHES:
            message_cpu_s, byte_cpu_s = message_cost(self._done)
            self._measured_s = self._loop.now_s()
            self._done.clear()
            self._tell(message_cpu_s, byte_cpu_s, self.known.background_cores)
        else:
            self._loop.after(SPACING_S, self._go_on)

    def _go_on(self) -> None:
        if self._batch is None:
            self._begin(self._loop.now_s())

    def _begin(self, now_s: float) -> None:
        self._batch = _Batch(
            size_bytes=self._large_bytes if len(self._done) % 2 else 0,
            began_s=now_s,
            processor_s=self._around.processor_s(),
            left=BATCH_FRAMES,
        )
        self._send(self._batch)

    def _send(self, batch: _Batch) -> None:
        batch.key = RequestKey(secrets.token_bytes(16))
        size_bytes = batch.size_bytes
        tensors = (FrameTensor(index=0, data=bytes(size_bytes)),) if size_bytes else ()
        frame = Frame(kind=FrameKind.PROBE, request_key=batch.key, sender=self._me, tensors=tensors)
        try:
            self._around.send(frame)
        except TooLargeError:
            self._batch = None
            self._large_bytes = max(self._large_bytes // 2, LEAST_LARGE_BYTES)  # at the next look
        except MeshError:
            self._batch = None  # not connected yet: tried at the next look

    def _count_idle(self, now_s: float) -> None:
        """What node and broker take while no request passes: heartbeats, discovery, looking around."""
        used_s, carried = self._around.processor_s(), self._around.carried()
        if self._window is None:
            self._window = (now_s, used_s, carried)
            return
        began_s, used_before_s, carried_before = self._window
        if now_s - began_s < WINDOW_S:
            return
        self._window = (now_s, used_s, carried)
        if carried == carried_before:
            self._idle.append((used_s - used_before_s) / (now_s - began_s))
            known = self.known
            found = background_cores(self._idle, told=known.background_cores)
            self._tell(known.message_cpu_s, known.byte_cpu_s, found)

    def _tell(self, message_cpu_s: float, byte_cpu_s: float, background: float) -> None:
        known = ProcessorCost(
            message_cpu_s=message_cpu_s, byte_cpu_s=byte_cpu_s, background_cores=background
        )
        if known != self.known:
            self.known = known
            self._on_change()
