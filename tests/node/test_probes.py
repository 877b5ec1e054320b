from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from mesh.errors import MeshError, NotConnectedError, TooLargeError
from mesh.fleet.link_watch import IDLE_S, REST_S, WATCH_S, Traffic
from mesh.fleet.links import LARGE_BYTES, REFRESH_S, TIMEOUT_S, sizes_bytes
from mesh.ids import NodeId, RequestKey
from mesh.node.loop import Loop
from mesh.node.message_cost import MessageCost, Surroundings
from mesh.node.probes import Probes
from mesh.wire.frame import Frame, FrameKind
from mesh.wire.measured import Link
from mesh.wire.topics import Lane

ME, A, B = NodeId("0" * 16), NodeId("a" * 16), NodeId("b" * 16)
SMALL_S, LARGE_S = 0.002, 0.012
SIZES_BYTES = sizes_bytes()


@dataclass(slots=True)
class Bench:
    """Probes whose peers answer after a time that the test sets."""

    now_s: float = 100.0
    sent: list[tuple[NodeId, Lane, Frame]] = field(default_factory=list)
    failure: MeshError | None = None
    own: list[Frame] = field(default_factory=list)
    changes: int = 0
    answered: int = 0
    frames_per_s: int = 0
    small_s: float = SMALL_S
    large_s: float = LARGE_S
    probes: Probes = field(init=False)

    def __post_init__(self) -> None:
        loop = Loop(lambda: self.now_s)
        around = Surroundings(
            send=self.own.append, processor_s=lambda: 0.0, carried=lambda: len(self.own)
        )
        self.probes = Probes(
            loop,
            me=ME,
            send=self.send,
            sent=lambda _peer: self.traffic(),
            on_change=self.changed,
            cost=MessageCost(loop, around, me=ME, on_change=self.changed),
        )

    def send(self, node_id: NodeId, lane: Lane, frame: Frame) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append((node_id, lane, frame))

    def traffic(self) -> Traffic:
        """Frames of 64 KiB."""
        frames = int(self.frames_per_s * self.now_s)
        return Traffic(frames=frames, size_bytes=frames * 64 * 1024)

    def keep(self, peers: frozenset[NodeId], *, used: frozenset[NodeId] = frozenset()) -> None:
        self.probes.keep(peers, answering=peers, used=used)

    def glance(self, seconds: int) -> int:
        """Keep an eye on a link in use, second by second; returns how many frames that took."""
        before = len(self.sent)
        for _ in range(seconds):
            self.now_s += 1
            self.keep(frozenset({A}), used=frozenset({A}))
            self.answer()
        return len(self.sent) - before

    def answer(self) -> None:
        """Answer all that is asked."""
        while len(self.sent) > self.answered:
            self.echo()

    @property
    def link(self) -> Link:
        (link,) = self.probes.document().links
        return link

    def changed(self) -> None:
        self.changes += 1

    def echo(self, *, sender: NodeId | None = None) -> int:
        """Answer the last probe; returns its size."""
        self.answered = len(self.sent)
        node_id, lane, probe = self.sent[-1]
        assert (lane, probe.kind, probe.sender) == (Lane.PROBE, FrameKind.PROBE, ME)
        size_bytes = sum(len(tensor.data) for tensor in probe.tensors)
        extra_s = (self.large_s - self.small_s) * size_bytes / LARGE_BYTES
        self.now_s += self.small_s + extra_s
        echo = Frame(kind=FrameKind.ECHO, request_key=probe.request_key, sender=sender or node_id)
        self.probes.echoed(echo)
        return size_bytes

    def measure(self) -> list[int]:
        return [self.echo() for _ in SIZES_BYTES]


def test_a_new_peer_is_measured() -> None:
    bench = Bench()
    bench.keep(frozenset({A}))
    assert bench.probes.document().links == ()
    assert tuple(bench.measure()) == SIZES_BYTES
    (link,) = bench.probes.document().links
    assert link.peer == A
    assert abs(link.message_s - SMALL_S / 2) < 1e-9
    assert abs(link.goodput_bytes_per_s / (LARGE_BYTES / (LARGE_S - SMALL_S)) - 1) < 1e-6
    assert bench.changes == 1


def test_one_probe_is_under_way_per_peer() -> None:
    bench = Bench()
    bench.keep(frozenset({A, B}))
    bench.keep(frozenset({A, B}))
    assert [node_id for node_id, _, _ in bench.sent] == [A, B]


def test_every_probe_has_a_key_of_its_own() -> None:
    bench = Bench()
    bench.keep(frozenset({A}))
    bench.measure()
    keys = [frame.request_key for _, _, frame in bench.sent]
    assert len(set(keys)) == len(keys) == len(SIZES_BYTES)


def test_a_measurement_is_refreshed_when_it_is_old() -> None:
    bench = Bench()
    bench.keep(frozenset({A}))
    bench.measure()
    bench.now_s += IDLE_S / 2
    bench.keep(frozenset({A}))
    assert len(bench.sent) == len(SIZES_BYTES)
    bench.now_s += REFRESH_S
    bench.keep(frozenset({A}))
    assert len(bench.sent) == len(SIZES_BYTES) + 1
    assert len(bench.probes.document().links) == 1, "the old one stands until then"


def test_a_lost_echo_begins_the_measurement_anew() -> None:
    bench = Bench()
    bench.keep(frozenset({A}))
    bench.echo()
    bench.now_s += TIMEOUT_S + 1
    bench.keep(frozenset({A}))
    assert tuple(bench.measure()) == SIZES_BYTES


def test_an_echo_that_was_not_asked_for_counts_nothing() -> None:
    bench = Bench()
    bench.keep(frozenset({A}))
    bench.echo(sender=B)
    stray = Frame(kind=FrameKind.ECHO, request_key=RequestKey(bytes(16)), sender=A)
    bench.probes.echoed(stray)
    assert len(bench.sent) == 1


def measured_bench() -> Bench:
    bench = Bench()
    bench.keep(frozenset({A}))
    bench.measure()
    return bench


def test_a_link_in_use_that_became_slower_is_measured_anew_within_seconds() -> None:
    bench = measured_bench()
    goodput_bytes_per_s = bench.link.goodput_bytes_per_s
    bench.large_s = 4 * LARGE_S
    bench.glance(10)
    ratio = goodput_bytes_per_s / bench.link.goodput_bytes_per_s
    assert ratio == pytest.approx((4 * LARGE_S - SMALL_S) / (LARGE_S - SMALL_S))


def test_one_slow_glance_is_no_news() -> None:
    bench = measured_bench()
    link, changes = bench.link, bench.changes
    for _ in range(20):
        bench.large_s = 9 * LARGE_S
        bench.glance(2)
        bench.large_s = LARGE_S
        bench.glance(4)
    assert (bench.link, bench.changes) == (link, changes)


def test_glances_at_an_idle_link_are_rare_and_see_a_faster_one() -> None:
    bench = measured_bench()
    bench.now_s += IDLE_S - WATCH_S - 1
    bench.keep(frozenset({A}))
    assert len(bench.sent) == bench.answered
    bench.now_s += WATCH_S + 1
    bench.small_s, bench.large_s = SMALL_S / 5, LARGE_S / 5
    bench.keep(frozenset({A}))
    bench.answer()
    assert bench.link.message_s == pytest.approx(SMALL_S / 10)
    assert len(bench.sent) == len(SIZES_BYTES) + 2 + 2 * len(SIZES_BYTES), "twice, to be sure"


def test_a_full_link_is_as_fast_as_what_passes_over_it() -> None:
    """Its probes wait behind the frames of requests."""
    bench = measured_bench()
    bench.large_s, bench.frames_per_s = 20 * LARGE_S, 50
    bench.glance(30)
    takes_s = bench.link.message_s + 64 * 1024 / bench.link.goodput_bytes_per_s
    assert takes_s == pytest.approx(1 / 50, rel=0.05)


def test_a_suspicion_that_came_to_nothing_rests() -> None:
    bench = measured_bench()
    rounds = []
    for _ in range(30):
        bench.large_s = 3 * LARGE_S
        before = len(bench.sent)
        while len(bench.sent) - before < 2 * 3:
            bench.now_s += WATCH_S
            bench.keep(frozenset({A}), used=frozenset({A}))
            sent = len(bench.sent)
            bench.echo()
            if len(bench.sent) > sent:
                bench.echo()
            if len(bench.sent) > sent + 1:
                bench.large_s = LARGE_S
                bench.answer()
                rounds.append(bench.now_s)
                break
    assert len(rounds) >= 2
    assert all(b - a >= REST_S for a, b in pairwise(rounds))


def test_a_peer_that_went_is_forgotten() -> None:
    bench = Bench()
    bench.keep(frozenset({A}))
    bench.measure()
    bench.keep(frozenset())
    assert bench.probes.document().links == ()


def test_what_cannot_be_sent_is_tried_at_the_next_look() -> None:
    bench = Bench(failure=NotConnectedError("no connection"))
    bench.keep(frozenset({A}))
    bench.failure = None
    bench.keep(frozenset({A}))
    assert len(bench.sent) == 1


def test_a_peers_probe_is_echoed() -> None:
    bench = Bench()
    key = RequestKey(bytes(range(16)))
    probe = Frame(kind=FrameKind.PROBE, request_key=key, sender=A)
    bench.probes.probed(probe)
    expected = Frame(kind=FrameKind.ECHO, request_key=key, sender=ME)
    assert bench.sent == [(A, Lane.ECHO, expected)]
    bench.failure = NotConnectedError("no connection")
    bench.probes.probed(probe)


def test_what_messages_cost_is_told_with_the_links() -> None:
    bench = Bench()
    bench.keep(frozenset())
    (own,) = bench.own
    bench.probes.probed(own)
    assert bench.sent == [], "an own probe is no peer's: it is not echoed"
    assert bench.probes.document().message_cpu_s == 0


def test_links_are_sorted_by_peer() -> None:
    bench = Bench()
    for peer in (B, A):
        bench.keep(frozenset({B} if peer is B else {A, B}))
        bench.measure()
    links: tuple[Link, ...] = bench.probes.document().links
    assert [link.peer for link in links] == [A, B]


def test_a_peer_that_does_not_hear_this_node_is_not_asked() -> None:
    bench = Bench()
    bench.probes.keep(frozenset({A, B}), answering=frozenset({B}))
    assert [node_id for node_id, _, _ in bench.sent] == [B]


def test_a_broker_of_small_packets_gets_smaller_probes() -> None:
    bench = Bench()
    bench.keep(frozenset({A}))
    for _ in range(4):
        bench.failure = TooLargeError("too large") if len(bench.sent) == 4 else None
        bench.echo()
    bench.failure = None
    bench.keep(frozenset({A}))
    assert max(bench.measure()) == LARGE_BYTES // 2
