import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from mesh.errors import NotConnectedError, TooLargeError
from mesh.ids import NodeId, RequestKey
from mesh.node.post import Listeners, Post
from mesh.testing.bus import MemoryNetwork
from mesh.transport.port import Message
from mesh.wire import frame as frames
from mesh.wire.frame import Frame, FrameKind
from mesh.wire.topics import Fact, FactTopic, FrameTopic, Lane, RequestTopic, Service, TopicSpace

ME, OTHER = NodeId("0" * 16), NodeId("a" * 16)
OWN, PEER = "mqtt://own:1883", "mqtt://peer:1883"
SPACE = TopicSpace.of("mesh")
WILL = Message(topic="mesh/1/node/0000000000000000/heartbeat", payload=b"lost", qos=1)
PROBE = Frame(kind=FrameKind.PROBE, request_key=RequestKey(bytes(16)), sender=ME)


def _ignore(_event: object) -> None:
    pass


@dataclass(slots=True)
class Bench:
    """A post office whose callbacks run when the test looks, as they would on the loop."""

    shared: bool = False
    network: MemoryNetwork = field(default_factory=MemoryNetwork)
    mailbox: list[Callable[[], None]] = field(default_factory=list)
    said: list[tuple[object, ...]] = field(default_factory=list)
    clients: int = 0
    post: Post = field(init=False)

    def __post_init__(self) -> None:
        self.post = Post(
            self.network,
            SPACE,
            me=ME,
            own_url=OWN,
            shared_broker=self.shared,
            run_soon=self.mailbox.append,
        )
        self.post.connect(
            Listeners(
                connected=lambda url: self.said.append(("connected", url)),
                disconnected=lambda url: self.said.append(("disconnected", url)),
                fact=lambda url, topic, payload: self.said.append((url, topic, payload)),
                frame=lambda topic, payload: self.said.append((topic, payload)),
                request=lambda topic, message: self.said.append((topic, message.payload)),
            )
        )

    def events(self) -> list[tuple[object, ...]]:
        while self.mailbox:
            self.mailbox.pop(0)()
        return list(self.said)

    def publish(self, url: str, topic: str, payload: bytes) -> None:
        self.clients += 1
        bus = self.network.connect(url, client_id=f"client {self.clients}", on_event=_ignore)
        bus.publish(Message(topic=topic, payload=payload, qos=1))
        bus.close()

    def heard(self) -> list[tuple[object, ...]]:
        return [one for one in self.events() if one[0] not in ("connected", "disconnected")]


def test_facts_frames_and_requests_go_to_whom_they_concern() -> None:
    bench = Bench()
    bench.post.open_own(WILL)
    fact = FactTopic(node_id=OTHER, fact=Fact.LINKS)
    request = RequestTopic(service=Service.INFER, target="tiny")
    bench.publish(OWN, SPACE.fact(fact), b"1")
    bench.publish(OWN, SPACE.frame(ME, Lane.STAGE), b"2")
    bench.publish(OWN, SPACE.request(request), b"3")
    bench.publish(OWN, SPACE.frame(OTHER, Lane.STAGE), b"not mine")
    assert bench.heard() == [
        (OWN, fact, b"1"),
        (FrameTopic(node_id=ME, lane=Lane.STAGE), b"2"),
        (request, b"3"),
    ]


def test_at_a_peers_broker_only_facts_are_heard() -> None:
    bench = Bench()
    bench.post.open_peer(PEER)
    bench.publish(PEER, SPACE.request(RequestTopic(service=Service.INFER, target="tiny")), b"")
    bench.publish(PEER, SPACE.frame(ME, Lane.STAGE), b"")
    fact = FactTopic(node_id=OTHER, fact=Fact.PEERS)
    bench.publish(PEER, SPACE.fact(fact), b"{}")
    assert bench.heard() == [(PEER, fact, b"{}")]


def test_each_broker_has_one_connection() -> None:
    bench = Bench()
    for _ in range(2):
        bench.post.open_peer(PEER)
    assert bench.events() == [("connected", PEER)]


def test_a_closed_peer_is_silent_and_the_own_broker_stays() -> None:
    bench = Bench()
    bench.post.open_own(WILL)
    bench.post.open_peer(PEER)
    bench.post.close_peer(PEER)
    bench.post.close_peer(OWN)
    bench.publish(PEER, SPACE.fact(FactTopic(node_id=OTHER, fact=Fact.PEERS)), b"{}")
    assert bench.heard() == []
    assert bench.post.publish_own(Message(topic="a", payload=b""))


def test_a_broken_connection_is_told_and_nothing_is_published() -> None:
    bench = Bench()
    bench.post.open_own(WILL)
    bench.network.broker(OWN).stop()
    assert bench.events()[-1] == ("disconnected", OWN)
    assert not bench.post.publish_own(Message(topic="a", payload=b""))
    with pytest.raises(NotConnectedError):
        bench.post.say(Message(topic="a", payload=b""))


def test_what_the_broker_refuses_is_told() -> None:
    bench = Bench()
    bench.network.broker(OWN, max_packet_bytes=100)
    bench.post.open_own(WILL)
    large = Message(topic="a", payload=bytes(1000))
    assert not bench.post.publish_own(large)
    with pytest.raises(TooLargeError):
        bench.post.say(large)


def test_before_it_is_open_nothing_can_be_said() -> None:
    bench = Bench()
    assert not bench.post.publish_own(Message(topic="a", payload=b""))


def test_a_frame_goes_to_the_nodes_own_broker() -> None:
    bench = Bench()
    bench.post.open_peer(PEER)
    arrived: list[object] = []
    bus = bench.network.connect(PEER, client_id="peer", on_event=arrived.append)
    bus.subscribe(SPACE.all_frames(OTHER), qos=0)
    bench.post.send_frame(PEER, OTHER, Lane.PROBE, PROBE)
    message = arrived[-1]
    assert isinstance(message, Message)
    assert message.topic == SPACE.frame(OTHER, Lane.PROBE)
    assert frames.decode(message.payload, max_bytes=1 << 20) == PROBE


def test_a_frame_to_a_broker_without_connection_is_refused() -> None:
    with pytest.raises(NotConnectedError):
        Bench().post.send_frame(PEER, OTHER, Lane.PROBE, PROBE)


def test_a_node_that_vanishes_leaves_its_will() -> None:
    bench = Bench()
    bench.post.open_own(WILL)
    arrived: list[object] = []
    bus = bench.network.connect(OWN, client_id="peer", on_event=arrived.append)
    bus.subscribe(SPACE.all_facts(), qos=1)
    bench.network.broker(OWN).cut(f"mesh-{ME}")
    assert [one.payload for one in arrived if isinstance(one, Message)] == [b"lost"]


def test_closing_leaves_no_will_and_hears_nothing_more() -> None:
    bench = Bench()
    bench.post.open_own(WILL)
    bench.post.open_peer(PEER)
    bench.post.close()
    before = bench.events()
    bench.publish(OWN, SPACE.frame(ME, Lane.STAGE), b"late")
    assert bench.events() == before


def test_nodes_that_share_a_broker_share_its_requests() -> None:
    bench = Bench(shared=True)
    filters: list[str] = []

    class Bus:
        url, is_connected = OWN, True

        def subscribe(self, topic_filter: str, *, qos: int) -> None:
            filters.append(f"{topic_filter} {qos}")

    class Connector:
        def connect(self, *_args: object, **_named: object) -> Bus:
            return Bus()

    bench.post._connector = Connector()  # type: ignore[assignment]
    bench.post.open_own(WILL)
    assert f"{SPACE.all_requests(shared=True)} 1" in filters


def test_the_advert_is_left_at_other_brokers_and_taken_back() -> None:
    bench = Bench()
    topic = SPACE.fact(FactTopic(node_id=ME, fact=Fact.ADVERT))
    advert = Message(topic=topic, payload=b"me", qos=1, retain=True)
    bench.post.open_own(WILL)
    bench.post.open_peer(PEER)
    for url in (OWN, PEER, "mqtt://unknown:1883"):
        bench.post.introduce(url, advert)

    def retained(url: str) -> list[bytes]:
        heard: list[bytes] = []
        bus = bench.network.connect(
            url,
            client_id="late",
            on_event=lambda one: heard.append(one.payload) if isinstance(one, Message) else None,
        )
        bus.subscribe(topic, qos=1)
        bus.close()
        return heard

    assert (retained(OWN), retained(PEER)) == ([], [b"me"])
    bench.post.withdraw(advert)
    assert retained(PEER) == []


def test_a_seed_that_is_the_own_broker_does_not_put_the_node_out() -> None:
    """A broker ends the older of two connections of one client id: each has its own."""
    ids: list[str] = []

    class Recording(MemoryNetwork):
        def connect(self, url: str, *, client_id: str, **rest: Any) -> Any:
            ids.append(client_id)
            return super().connect(url, client_id=client_id, **rest)

    bench = Bench(network=Recording())
    bench.post.open_own(Message(topic="mesh/1/will", payload=b""))
    bench.post.open_peer("mqtt://localhost:1883")
    bench.post.open_peer(PEER)
    assert len(set(ids)) == len(ids) == 3


class _SlowConnector:
    """Its buses take until `go` to close, as one does whose peer does not answer."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self.go = threading.Event()
        self.closed = threading.Event()

    def connect(self, url: str, **wishes: Any) -> Any:
        bus = self.network.connect(url, **wishes)
        close = bus.close

        def slowly() -> None:
            self.go.wait(10)
            close()
            self.closed.set()

        bus.close = slowly  # type: ignore[method-assign]
        return bus


def test_a_peer_that_does_not_answer_is_closed_beside_the_loop() -> None:
    connector = _SlowConnector(MemoryNetwork())
    post = Post(
        connector, SPACE, me=ME, own_url=OWN, shared_broker=False, run_soon=lambda _callback: None
    )
    post.open_peer(PEER)
    post.close_peer(PEER)
    assert not connector.closed.is_set()
    connector.go.set()
    assert connector.closed.wait(10)
