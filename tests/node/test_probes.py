from dataclasses import dataclass, field

from mesh.errors import MeshError, NotConnectedError, TooLargeError
from mesh.fleet.links import LARGE_BYTES, REFRESH_S, TIMEOUT_S, sizes_bytes
from mesh.ids import NodeId, RequestKey
from mesh.node.loop import Loop
from mesh.node.probes import Probes
from mesh.wire.documents import Link
from mesh.wire.frame import Frame, FrameKind
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
    changes: int = 0
    probes: Probes = field(init=False)

    def __post_init__(self) -> None:
        self.probes = Probes(
            Loop(lambda: self.now_s), me=ME, send=self.send, on_change=self.changed
        )

    def send(self, node_id: NodeId, lane: Lane, frame: Frame) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append((node_id, lane, frame))

    def keep(self, peers: frozenset[NodeId]) -> None:
        self.probes.keep(peers, answering=peers)

    def changed(self) -> None:
        self.changes += 1

    def echo(self, *, sender: NodeId | None = None) -> int:
        """Answer the last probe; returns its size."""
        node_id, lane, probe = self.sent[-1]
        assert (lane, probe.kind, probe.sender) == (Lane.PROBE, FrameKind.PROBE, ME)
        size_bytes = sum(len(tensor.data) for tensor in probe.tensors)
        self.now_s += LARGE_S if size_bytes else SMALL_S
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
    bench.now_s += REFRESH_S / 2
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
