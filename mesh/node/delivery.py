"""Takes frames to where they belong: another node's broker, or straight to this node's own part."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from mesh.errors import MeshError, RemoteError
from mesh.fleet.link_watch import Traffic
from mesh.ids import NodeId
from mesh.pipeline.stage import Parcel
from mesh.wire import frame as frames
from mesh.wire.frame import Frame, FrameKind
from mesh.wire.topics import FrameTopic, Lane

_log = logging.getLogger("mesh.delivery")

_KINDS = {
    Lane.STAGE: (FrameKind.ACTIVATION, FrameKind.STEP, FrameKind.DROP),
    Lane.RESULT: (FrameKind.RESULT, FrameKind.ERROR),
    Lane.PROBE: (FrameKind.PROBE,),
    Lane.ECHO: (FrameKind.ECHO,),
}

_OF_REQUESTS = frozenset({Lane.STAGE, Lane.RESULT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivers:
    """The parts of this node, by lane."""

    stage: Callable[[Frame], None]
    result: Callable[[Frame], None]
    probe: Callable[[Frame], None]
    echo: Callable[[Frame], None]


class Delivery:
    """Frames in and out. What cannot be delivered is counted; the gateway's retry covers the loss."""

    def __init__(
        self,
        *,
        me: NodeId,
        send: Callable[[NodeId, Lane, Frame], None],
        run_soon: Callable[[Callable[[], None]], None],
        max_frame_bytes: int,
    ) -> None:
        self._me = me
        self._send = send
        self._run_soon = run_soon
        self._max_frame_bytes = max_frame_bytes
        self._receivers: Receivers | None = None
        self.dropped: Counter[str] = Counter()
        self.carried = 0
        """Frames of requests, in and out."""
        self._sent: dict[NodeId, Traffic] = {}

    def connect(self, receivers: Receivers) -> None:
        self._receivers = receivers

    def send(self, node_id: NodeId, lane: Lane, frame: Frame) -> None:
        """Deliver a frame. Raises: MeshError when it could not even be sent."""
        self.carried += lane in _OF_REQUESTS
        if node_id == self._me:
            self._run_soon(lambda: self._receive(lane, frame))
        else:
            self._send(node_id, lane, frame)
            if lane in _OF_REQUESTS:
                self._count(node_id, frame)

    def sent(self, node_id: NodeId) -> Traffic:
        """The frames of requests that went to another node so far."""
        return self._sent.get(node_id, Traffic())

    def _count(self, node_id: NodeId, frame: Frame) -> None:
        before = self.sent(node_id)
        size_bytes = sum(memoryview(tensor.data).nbytes for tensor in frame.tensors)
        self._sent[node_id] = Traffic(
            frames=before.frames + 1, size_bytes=before.size_bytes + size_bytes
        )

    def emit(self, parcel: Parcel) -> None:
        """Deliver what a stage made, to another node that may have it where the first is not reached."""
        failure = self._failure(parcel.node_id, parcel)
        for node_id in parcel.others:
            if failure is None:
                break
            failure = self._failure(node_id, parcel)
        if failure is not None:
            self.dropped[failure.code] += 1

    def _failure(self, node_id: NodeId, parcel: Parcel) -> MeshError | None:
        """Why it could not be sent; None when it was."""
        try:
            self.send(node_id, parcel.lane, parcel.frame)
        except MeshError as error:
            _log.debug("a frame could not be sent to node %s: %s", node_id, error)
            return error
        return None

    def arrived(self, topic: FrameTopic, payload: bytes) -> None:
        """Open what came over MQTT."""
        try:
            frame = self._open(topic.lane, payload)
        except RemoteError as error:
            self.dropped[error.code] += 1
            if self.dropped[error.code] == 1:
                _log.warning("a frame was dropped: %s", error)
            return
        self._receive(topic.lane, frame)

    def _open(self, lane: Lane, payload: bytes) -> Frame:
        frame = frames.decode(payload, max_bytes=self._max_frame_bytes)
        if frame.kind not in _KINDS[lane]:
            raise RemoteError(f"a frame of kind {frame.kind.name} on lane {lane.value}")
        return frame

    def _receive(self, lane: Lane, frame: Frame) -> None:
        self.carried += lane in _OF_REQUESTS
        if self._receivers is not None:
            receive: Callable[[Frame], None] = getattr(self._receivers, lane.value)
            receive(frame)
