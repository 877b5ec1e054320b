from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from mesh.errors import MeshError, NotConnectedError, TooLargeError
from mesh.fleet.links import REFRESH_S, TIMEOUT_S
from mesh.ids import NodeId, RequestKey
from mesh.node.loop import Loop
from mesh.node.message_cost import (
    BATCH_FRAMES,
    BATCHES,
    LARGE_BYTES,
    LEAST_LARGE_BYTES,
    WINDOW_S,
    MessageCost,
    Surroundings,
)
from mesh.wire.frame import Frame, FrameKind

ME = NodeId("0" * 16)
FRAME_S, BYTE_S, IDLE_CORES = 0.0006, 2e-9, 0.01
LOOK_S = 1.0


class HandLoop(Loop):
    """What is put off is done when the test takes it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.put_off: list[Callable[[], None]] = []

    def after(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.put_off.append(callback)


@dataclass(slots=True)
class Bench:
    """A node whose frames come back at once, and whose processor the test charges."""

    now_s: float = 100.0
    processor_s: float = 50.0
    carried: int = 0
    largest_bytes: int = 1 << 30
    failure: MeshError | None = None
    under_way: list[Frame] = field(default_factory=list)
    sent: list[Frame] = field(default_factory=list)
    changes: int = 0
    loop: HandLoop = field(init=False)
    cost: MessageCost = field(init=False)

    def __post_init__(self) -> None:
        around = Surroundings(
            send=self.send, processor_s=lambda: self.processor_s, carried=lambda: self.carried
        )
        self.loop = HandLoop(lambda: self.now_s)
        self.cost = MessageCost(self.loop, around, me=ME, on_change=self.changed)

    def send(self, frame: Frame) -> None:
        if self.failure is not None:
            raise self.failure
        if size_bytes(frame) > self.largest_bytes:
            raise TooLargeError("too large")
        self.sent.append(frame)
        self.under_way.append(frame)

    def changed(self) -> None:
        self.changes += 1

    def look(self, looks: int = 1) -> None:
        """What happens in so many seconds: the node is idle but for its own frames."""
        for _ in range(looks):
            self.now_s += LOOK_S
            self.processor_s += IDLE_CORES * LOOK_S
            self.cost.keep()
            while self.under_way or self.loop.put_off:
                self.go_on()

    def go_on(self) -> None:
        if self.loop.put_off:
            self.loop.put_off.pop(0)()
            return
        frame = self.under_way.pop()
        self.processor_s += FRAME_S + BYTE_S * size_bytes(frame)
        self.cost.arrived(frame)


def size_bytes(frame: Frame) -> int:
    return sum(len(tensor.data) for tensor in frame.tensors)


def test_sending_and_receiving_cost_half_each_of_what_a_round_through_the_broker_takes() -> None:
    bench = Bench()
    bench.look(3)
    assert bench.cost.known.message_cpu_s == pytest.approx(FRAME_S / 2)
    assert bench.cost.known.byte_cpu_s == pytest.approx(BYTE_S / 2)
    assert {frame.kind for frame in bench.sent} == {FrameKind.PROBE}
    assert {frame.sender for frame in bench.sent} == {ME}
    assert len(bench.sent) == BATCHES * BATCH_FRAMES, "and then it is quiet"


def test_small_and_large_frames_take_turns() -> None:
    bench = Bench()
    bench.look()
    assert [size_bytes(frame) for frame in bench.sent] == [
        *[0] * BATCH_FRAMES,
        *[LARGE_BYTES] * BATCH_FRAMES,
    ] * (BATCHES // 2)


def test_it_is_measured_again_when_it_is_old() -> None:
    bench = Bench()
    bench.look(2)
    bench.now_s += REFRESH_S
    bench.look()
    assert len(bench.sent) == 2 * BATCHES * BATCH_FRAMES


def test_a_lost_frame_costs_a_batch() -> None:
    bench = Bench()
    bench.cost.keep()
    lost = bench.under_way.pop()
    bench.cost.keep()
    assert len(bench.sent) == 1, "one at a time"
    bench.now_s += TIMEOUT_S
    bench.cost.keep()
    assert len(bench.sent) == 2
    bench.cost.arrived(lost)
    assert len(bench.sent) == 2, "too late"


def test_a_frame_of_another_key_counts_nothing() -> None:
    bench = Bench()
    bench.cost.keep()
    stray = Frame(kind=FrameKind.PROBE, request_key=RequestKey(bytes(16)), sender=ME)
    bench.cost.arrived(stray)
    assert len(bench.sent) == 1


def test_what_cannot_be_sent_is_tried_at_the_next_look() -> None:
    bench = Bench(failure=NotConnectedError("no connection"))
    bench.look(3)
    bench.failure = None
    bench.look()
    assert bench.cost.known.message_cpu_s > 0


def test_a_broker_of_small_packets_gets_smaller_frames() -> None:
    bench = Bench(largest_bytes=LARGE_BYTES // 4)
    bench.look(BATCHES + 4)
    assert bench.cost.known.byte_cpu_s == pytest.approx(BYTE_S / 2)
    assert max(map(size_bytes, bench.sent)) == LARGE_BYTES // 4


def test_a_broker_that_takes_no_bytes_at_all_is_not_asked_for_ever_less() -> None:
    bench = Bench(largest_bytes=0)
    bench.look(60)
    assert bench.cost.known.message_cpu_s == 0
    assert LEAST_LARGE_BYTES > 0


def test_what_it_takes_idle_is_told_once_while_it_stays_about_the_same() -> None:
    bench = Bench()
    bench.look(int(8 * WINDOW_S))
    assert bench.cost.known.background_cores == pytest.approx(IDLE_CORES)
    assert bench.changes == 2, "messages, and idle work"


def test_while_requests_pass_it_is_not_idle() -> None:
    bench = Bench()
    for _ in range(20):
        bench.carried += 1
        bench.processor_s += 0.5
        bench.look()
    assert bench.cost.known.background_cores == 0
