import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import NotConnectedError
from mesh.fleet.link_watch import Traffic
from mesh.ids import NodeId, RequestKey, SessionKey
from mesh.node.delivery import Delivery, Receivers
from mesh.pipeline.stage import Parcel
from mesh.wire import frame as frames
from mesh.wire.frame import Frame, FrameKind, FrameTensor, SessionStep
from mesh.wire.topics import FrameTopic, Lane

ME, OTHER, THIRD, FOURTH = (NodeId(letter * 16) for letter in "abcd")
MAX_FRAME_BYTES = 1024
FRAME = Frame(kind=FrameKind.ACTIVATION, request_key=RequestKey(b"k" * 16), sender=OTHER)
LANES = {
    FrameKind.ACTIVATION: Lane.STAGE,
    FrameKind.RESULT: Lane.RESULT,
    FrameKind.ERROR: Lane.RESULT,
    FrameKind.PROBE: Lane.PROBE,
    FrameKind.ECHO: Lane.ECHO,
    FrameKind.STEP: Lane.STAGE,
    FrameKind.DROP: Lane.STAGE,
}


@dataclass(slots=True)
class Parts:
    """The other parts of a node, and the way to other nodes."""

    received: list[tuple[Lane, Frame]] = field(default_factory=list)
    sent: list[tuple[NodeId, Lane, Frame]] = field(default_factory=list)
    soon: list[Callable[[], None]] = field(default_factory=list)
    connected: bool = True
    unreachable: frozenset[NodeId] = frozenset()

    def send(self, node_id: NodeId, lane: Lane, frame: Frame) -> None:
        if not self.connected or node_id in self.unreachable:
            raise NotConnectedError("no connection")
        self.sent.append((node_id, lane, frame))

    def receiver(self, lane: Lane) -> Callable[[Frame], None]:
        return lambda frame: self.received.append((lane, frame))

    def delivery(self) -> Delivery:
        delivery = Delivery(
            me=ME, send=self.send, run_soon=self.soon.append, max_frame_bytes=MAX_FRAME_BYTES
        )
        delivery.connect(
            Receivers(
                stage=self.receiver(Lane.STAGE),
                result=self.receiver(Lane.RESULT),
                probe=self.receiver(Lane.PROBE),
                echo=self.receiver(Lane.ECHO),
            )
        )
        return delivery


def of_kind(kind: FrameKind) -> Frame:
    step = SessionStep(key=SessionKey(b"s" * 16), number=0)
    is_step = kind in (FrameKind.STEP, FrameKind.DROP)
    return replace(FRAME, kind=kind, step=step if is_step else None)


def on(lane: Lane) -> FrameTopic:
    return FrameTopic(node_id=ME, lane=lane)


@pytest.mark.parametrize("kind", FrameKind)
def test_a_frame_reaches_the_part_it_is_for(kind: FrameKind) -> None:
    parts, frame = Parts(), of_kind(kind)
    parts.delivery().arrived(on(LANES[kind]), frames.encode(frame))
    assert parts.received == [(LANES[kind], frame)]


@pytest.mark.parametrize("kind", FrameKind)
@pytest.mark.parametrize("lane", Lane)
def test_a_frame_on_the_wrong_lane_is_dropped(kind: FrameKind, lane: Lane) -> None:
    parts = Parts()
    delivery = parts.delivery()
    delivery.arrived(on(lane), frames.encode(of_kind(kind)))
    assert bool(parts.received) is (LANES[kind] is lane)
    assert delivery.dropped.total() == (LANES[kind] is not lane)


@given(st.binary(max_size=200), st.sampled_from(Lane))
def test_what_is_no_frame_is_dropped(payload: bytes, lane: Lane) -> None:
    parts = Parts()
    delivery = parts.delivery()
    delivery.arrived(on(lane), payload)
    assert parts.received == []
    assert delivery.dropped == {"BAD_MESSAGE": 1}


def test_what_is_dropped_is_counted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    large = replace(FRAME, tensors=(FrameTensor(index=0, data=bytes(MAX_FRAME_BYTES)),))
    delivery = Parts().delivery()
    with caplog.at_level(logging.WARNING, "mesh.delivery"):
        for _ in range(5):
            delivery.arrived(on(Lane.STAGE), frames.encode(large))
    assert delivery.dropped == {"BAD_MESSAGE": 5}
    assert len(caplog.records) == 1


def test_a_frame_to_another_node_is_sent() -> None:
    parts = Parts()
    parts.delivery().send(OTHER, Lane.STAGE, FRAME)
    assert parts.sent == [(OTHER, Lane.STAGE, FRAME)]


def test_a_frame_to_this_node_takes_no_detour_and_comes_after_what_is_being_done() -> None:
    parts = Parts(connected=False)
    parts.delivery().send(ME, Lane.STAGE, FRAME)
    assert parts.received == []
    parts.soon.pop()()
    assert parts.received == [(Lane.STAGE, FRAME)]


def test_who_sends_a_request_learns_that_it_failed_and_a_stage_need_not() -> None:
    parts = Parts(connected=False)
    delivery = parts.delivery()
    with pytest.raises(NotConnectedError):
        delivery.send(OTHER, Lane.STAGE, FRAME)
    delivery.emit(Parcel(node_id=OTHER, lane=Lane.RESULT, frame=FRAME))
    assert delivery.dropped == {"NOT_CONNECTED": 1}


def test_what_one_replica_cannot_be_given_goes_to_the_next() -> None:
    parts = Parts(unreachable=frozenset({OTHER, THIRD}))
    delivery = parts.delivery()
    parcel = Parcel(node_id=OTHER, lane=Lane.STAGE, frame=FRAME, others=(THIRD, FOURTH))
    delivery.emit(parcel)
    assert parts.sent == [(FOURTH, Lane.STAGE, FRAME)]
    assert not delivery.dropped
    delivery.emit(replace(parcel, others=(THIRD,)))
    assert delivery.dropped == {"NOT_CONNECTED": 1}, "a frame that nobody gets counts once"


def test_what_arrives_before_the_parts_are_there_is_let_go() -> None:
    parts = Parts()
    delivery = Delivery(
        me=ME, send=parts.send, run_soon=parts.soon.append, max_frame_bytes=MAX_FRAME_BYTES
    )
    delivery.arrived(on(Lane.STAGE), frames.encode(FRAME))
    assert parts.received == []


def test_what_went_to_each_node_for_requests_is_counted() -> None:
    parts = Parts()
    delivery = parts.delivery()
    frame = replace(FRAME, tensors=(FrameTensor(index=0, data=bytes(7)),))
    for node_id, lane in (
        (OTHER, Lane.STAGE),
        (OTHER, Lane.RESULT),
        (OTHER, Lane.PROBE),
        (ME, Lane.STAGE),
    ):
        delivery.send(node_id, lane, frame)
    assert delivery.sent(OTHER) == Traffic(frames=2, size_bytes=14)
    assert delivery.sent(ME) == delivery.sent(THIRD) == Traffic()
    parts.connected = False
    with pytest.raises(NotConnectedError):
        delivery.send(OTHER, Lane.STAGE, frame)
    assert delivery.sent(OTHER).frames == 2
