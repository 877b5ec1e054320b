"""What every pair of bus and broker holds to: the fake, mosquitto, a narrow mosquitto, amqtt."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from mesh.errors import (
    BadTopicError,
    NotConnectedError,
    OverloadedError,
    TooLargeError,
    UsageError,
)
from mesh.testing.bus import MemoryBroker, MemoryNetwork
from mesh.testing.recorder import Recorder
from mesh.testing.tcp_link import TcpLink
from mesh.transport.embedded import EmbeddedBroker
from mesh.transport.mosquitto import MosquittoBroker, find_mosquitto
from mesh.transport.paho_bus import PahoConnector
from mesh.transport.port import (
    Broker,
    Bus,
    BusConnector,
    BusEvent,
    Connected,
    Disconnected,
    Message,
)
from mesh.transport.ports import free_port

LOCAL = "127.0.0.1"
NARROW_BYTES = 2_000_000  # the default limit of mosquitto 2.1
FENCE = "test/fence"


class World(Protocol):
    """A broker, a connector, and a link between them that can be hurt."""

    @property
    def name(self) -> str: ...
    @property
    def broker(self) -> Broker: ...
    @property
    def connector(self) -> BusConnector: ...
    @property
    def url(self) -> str: ...
    def stall(self) -> None: ...
    def cut(self, client_id: str) -> None:
        """Break connections, at least that client's; they may come back at once."""
        ...


@dataclass
class MemoryWorld:
    broker: MemoryBroker
    connector: MemoryNetwork
    name: str = "memory"

    @property
    def url(self) -> str:
        return self.broker.url

    def stall(self) -> None:
        self.broker.stall()

    def cut(self, client_id: str) -> None:
        self.broker.cut(client_id)
        self.broker.mend(client_id)


@dataclass
class RealWorld:
    name: str
    broker: Broker
    link: TcpLink
    connector: PahoConnector

    @property
    def url(self) -> str:
        return f"mqtt://{LOCAL}:{self.link.port}"

    def stall(self) -> None:
        self.link.stall()

    def cut(self, client_id: str) -> None:
        self.link.cut()


@dataclass
class Party:
    """One bus and what it heard."""

    bus: Bus
    heard: Recorder[BusEvent]

    def say(self, topic: str, payload: bytes = b"", *, qos: int = 0, retain: bool = False) -> None:
        self.bus.publish(Message(topic=topic, payload=payload, qos=qos, retain=retain))

    def messages(self, count: int) -> list[Message]:
        return self.heard.wait_for(Message, count)

    def all_messages(self) -> list[Message]:
        """Return what came before a message that this party now sends itself."""
        self.bus.subscribe(FENCE, qos=0)
        self.say(FENCE)
        while not any(message.topic == FENCE for message in self.heard.of(Message)):
            self.heard.wait_for(Message, len(self.heard.of(Message)) + 1)
        return [message for message in self.heard.of(Message) if message.topic != FENCE]


@pytest.fixture(
    params=[
        "memory",
        pytest.param("mosquitto", marks=pytest.mark.real),
        pytest.param("narrow mosquitto", marks=pytest.mark.real),
        pytest.param("amqtt", marks=pytest.mark.real),
    ]
)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    name: str = request.param
    if name == "memory":
        network = MemoryNetwork()
        url = "mqtt://memory:1883"
        yield MemoryWorld(network.broker(url, max_packet_bytes=NARROW_BYTES), network)
        return
    broker = real_broker(name)
    broker.start()
    link = TcpLink(int(broker.url.rpartition(":")[2]))
    yield RealWorld(name, broker, link, PahoConnector(v5_accept_timeout_s=0.15))
    link.close()
    broker.stop()


def real_broker(name: str) -> Broker:
    port = free_port(LOCAL, 18830)
    if name == "amqtt":
        return EmbeddedBroker(port=port, bind=LOCAL)
    program = find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed")
    if name == "narrow mosquitto":
        return MosquittoBroker(program, port=port, bind=LOCAL, max_packet_bytes=NARROW_BYTES)
    return MosquittoBroker(program, port=port, bind=LOCAL)


@pytest.fixture
def join(world: World) -> Iterator[Callable[..., Party]]:
    """Make connected parties, closed when the test ends."""
    parties: list[Party] = []

    def make(client_id: str, *filters: str, qos: int = 0, will: Message | None = None) -> Party:
        heard = Recorder[BusEvent]()
        bus = world.connector.connect(world.url, client_id=client_id, on_event=heard, will=will)
        parties.append(Party(bus, heard))
        for one in filters:
            bus.subscribe(one, qos=qos)
        heard.wait_for(Connected)
        return parties[-1]

    yield make
    for party in parties:
        party.bus.close()


Join = Callable[..., Party]


def test_a_new_bus_says_that_it_is_connected(world: World, join: Join) -> None:
    party = join("a")
    assert party.bus.is_connected
    assert party.bus.url == world.url
    assert party.heard.events == [Connected()]


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("payload", [b"", b"\x00\xff", b"x" * 100_000])
def test_a_message_arrives_as_it_was_sent(join: Join, qos: int, payload: bytes) -> None:
    sender, receiver = join("a"), settled(join("b", "test/+", qos=qos))
    sender.say("test/x", payload, qos=qos)
    assert receiver.messages(2)[1:] == [Message(topic="test/x", payload=payload, qos=qos)]


def settled(party: Party) -> Party:
    """Return when the broker has taken the party's subscriptions."""
    party.say("test/settled")
    party.messages(1)
    return party


def test_both_directions(join: Join) -> None:
    one, other = settled(join("a", "test/#")), settled(join("b", "other/#", "test/settled"))
    one.say("other/x", b"1")
    assert other.messages(2)[1].payload == b"1"
    other.say("test/y", b"2")
    assert one.messages(3)[2].payload == b"2"


def test_only_what_was_subscribed_to_is_delivered(join: Join) -> None:
    sender, receiver = join("a"), join("b", "test/one/+/three", "test/two/#")
    receiver.all_messages()
    for topic in ("test/one", "test/one/2/three", "test/one/2/four", "test/two", "test/two/3/4"):
        sender.say(topic)
    receiver.heard.wait_for(Message, 4)
    heard = [message.topic for message in receiver.heard.of(Message) if message.topic != FENCE]
    assert heard == ["test/one/2/three", "test/two", "test/two/3/4"]


def test_retained_messages_meet_late_subscribers(join: Join) -> None:
    sender = join("a")
    sender.say("test/kept", b"old", qos=1, retain=True)
    sender.say("test/kept", b"new", qos=1, retain=True)
    sender.all_messages()
    late = join("b", "test/kept")
    assert late.messages(1) == [Message(topic="test/kept", payload=b"new", retain=True)]
    sender.say("test/kept", b"live", retain=True)
    assert late.messages(2)[1] == Message(topic="test/kept", payload=b"live")


def test_an_empty_retained_message_clears(join: Join) -> None:
    sender = join("a")
    sender.say("test/kept", b"old", retain=True)
    sender.say("test/kept", b"", retain=True)
    sender.all_messages()
    assert join("b", "test/kept").all_messages() == []


@pytest.mark.parametrize("qos", [0, 1])
def test_one_publishers_messages_keep_their_order(join: Join, qos: int) -> None:
    sender, receiver = join("a"), settled(join("b", "test/#", qos=1))
    for number in range(200):
        sender.say(f"test/{number % 3}", str(number).encode(), qos=qos)
    heard = [int(message.payload) for message in receiver.messages(201)[1:]]
    assert heard == list(range(200))


def test_a_megabyte(join: Join) -> None:
    payload = bytes(range(256)) * 4096
    sender, receiver = join("a"), settled(join("b", "test/#"))
    for _ in range(4):
        sender.say("test/big", payload)
    assert all(message.payload == payload for message in receiver.messages(5)[1:])


WILL = Message(topic="test/will", payload=b"lost", qos=1, retain=True)


def test_a_broken_connection_sends_the_will(world: World, join: Join) -> None:
    dying = join("a", will=WILL)
    world.cut("a")
    dying.heard.wait_for(Disconnected)
    dying.heard.wait_for(Connected, 2)
    witness = join("b", "test/will")
    assert witness.messages(1)[0].payload == b"lost"


def test_a_closed_bus_sends_no_will(join: Join) -> None:
    leaving, witness = join("a", will=WILL), settled(join("b", "test/#"))
    leaving.bus.close()
    assert [message.topic for message in witness.all_messages()] == ["test/settled"]


def test_a_closed_bus_has_sent_what_it_was_given(join: Join) -> None:
    leaving, witness = join("a"), settled(join("b", "test/#"))
    for number in range(50):
        leaving.say("test/last", bytes([number]))
    leaving.bus.close()
    assert [message.payload[0] for message in witness.messages(51)[1:]] == list(range(50))


def test_a_closed_bus_is_silent(world: World, join: Join) -> None:
    party = settled(join("a", "test/#"))
    party.bus.close()
    party.bus.close()
    before = list(party.heard.events)
    other = join("b")
    other.say("test/x")
    other.all_messages()
    world.broker.stop()
    assert party.heard.events == before
    assert not party.bus.is_connected
    with pytest.raises(NotConnectedError):
        party.say("test/x")


def test_a_bus_may_be_closed_by_its_own_callback(world: World) -> None:
    heard = Recorder[BusEvent]()
    buses: list[Bus] = []

    def close_at_once(event: BusEvent) -> None:
        if isinstance(event, Message):
            buses[0].close()
        heard(event)

    buses.append(world.connector.connect(world.url, client_id="a", on_event=close_at_once))
    buses[0].subscribe("test/x", qos=0)
    heard.wait_for(Connected)
    buses[0].publish(Message(topic="test/x", payload=b""))
    heard.wait_for(Message)
    assert not buses[0].is_connected


def test_a_callback_may_publish(world: World, join: Join) -> None:
    asking = settled(join("a", "test/answer", "test/settled"))
    buses: list[Bus] = []
    heard = Recorder[BusEvent]()

    def answer(event: BusEvent) -> None:
        if isinstance(event, Message) and event.topic == "test/question":
            buses[0].publish(Message(topic="test/answer", payload=event.payload, qos=1))
        heard(event)

    buses.append(world.connector.connect(world.url, client_id="b", on_event=answer))
    buses[0].subscribe("test/question", qos=1)
    heard.wait_for(Connected)
    buses[0].publish(Message(topic="test/question", payload=b"0"))
    asking.messages(2)
    asking.say("test/question", b"1", qos=1)
    assert [message.payload for message in asking.messages(3)[1:]] == [b"0", b"1"]
    buses[0].close()


def test_a_bus_comes_back_with_its_broker(world: World, join: Join) -> None:
    party = join("a", "test/#")
    world.broker.stop()
    party.heard.wait_for(Disconnected)
    assert not party.bus.is_connected
    with pytest.raises(NotConnectedError):
        party.say("test/while-down", qos=1)
    party.bus.subscribe("late/#", qos=0)
    world.broker.start()
    party.heard.wait_for(Connected, 2)
    party.say("test/back")
    party.say("late/back")
    assert [message.topic for message in party.messages(2)] == ["test/back", "late/back"]


def test_a_broker_may_come_up_after_the_bus(world: World) -> None:
    world.broker.stop()
    heard = Recorder[BusEvent]()
    bus = world.connector.connect(world.url, client_id="a", on_event=heard)
    heard.wait_for(Disconnected)
    world.broker.start()
    heard.wait_for(Connected)
    bus.close()
    assert len(heard.of(Disconnected)) == 1, "one reason is said once, not at each attempt"


def test_sending_is_bounded(world: World, join: Join) -> None:
    party = join("a")
    world.stall()

    def flood() -> None:
        for _ in range(200):
            party.say("test/x", bytes(1_000_000), qos=1)

    with pytest.raises(OverloadedError, match="slowly"):
        flood()


def test_a_message_over_the_brokers_limit_is_refused_at_once(world: World, join: Join) -> None:
    if world.name == "amqtt":
        pytest.skip("MQTT 3.1.1 brokers cannot announce a maximum packet size")
    if world.name == "mosquitto":
        pytest.skip("its limit of 8 MiB is tested in its narrow variant")
    party = settled(join("a", "test/#"))
    with pytest.raises(TooLargeError, match="2000000"):
        party.say("test/x", bytes(NARROW_BYTES), qos=1)
    party.say("test/x", bytes(NARROW_BYTES - 100), qos=1)
    party.messages(2)
    assert len(party.heard.of(Connected)) == 1, "the connection was never lost"


def test_properties_travel_both_ways(world: World, join: Join) -> None:
    if world.name == "amqtt":
        pytest.skip("MQTT 3.1.1 brokers carry no properties")
    sent = Message(
        topic="test/ask",
        payload=b"?",
        response_topic="test/answer",
        correlation_data=b"\x00\x01",
        content_type="application/json",
        expiry_s=60.0,
        user_properties=(("session", "s"), ("session", "t")),
    )
    party = join("a", "test/#")
    party.bus.publish(sent)
    (got,) = party.messages(1)
    assert got.expiry_s is not None
    assert 58 <= got.expiry_s <= 60, "brokers count it down"
    assert replace(got, expiry_s=60.0) == sent


def test_a_broker_without_properties_carries_the_rest(world: World, join: Join) -> None:
    if isinstance(world, MemoryWorld):
        world.broker.serves_v5 = False
    elif world.name != "amqtt":
        pytest.skip("mosquitto carries properties")
    party = join("a", "test/#", will=Message(topic="w", payload=b"", content_type="text/plain"))
    party.bus.publish(Message(topic="test/ask", payload=b"?", response_topic="test/answer"))
    assert party.messages(1) == [Message(topic="test/ask", payload=b"?")]
    with pytest.raises(UsageError, match="user properties"):
        party.bus.publish(Message(topic="test/ask", payload=b"", user_properties=(("a", "b"),)))


@pytest.mark.parametrize("topic", ["", "a/+/b", "#", "a\0b", "a\nb", "x" * 2000, "\ud800"])
def test_bad_topics_are_refused(world: World, join: Join, topic: str) -> None:
    with pytest.raises(BadTopicError):
        join("a").say(topic)
    with pytest.raises(BadTopicError):
        join("b", will=Message(topic=topic, payload=b""))


@pytest.mark.parametrize("topic_filter", ["", "a/#/b", "a+", "a\0b", "x" * 2000])
def test_bad_filters_are_refused(join: Join, topic_filter: str) -> None:
    with pytest.raises(BadTopicError):
        join("a", topic_filter)


@pytest.mark.parametrize("url", ["", "localhost", "http://x:1", "mqtt://:1", "mqtt://x:99999"])
def test_bad_urls_are_refused(world: World, url: str) -> None:
    with pytest.raises(UsageError):
        world.connector.connect(url, client_id="a", on_event=Recorder[BusEvent]())


def test_a_plain_3_1_1_client_is_understood_and_understands(world: World, join: Join) -> None:
    if isinstance(world, MemoryWorld):
        pytest.skip("nothing but the fake's own buses reach it")
    ours = settled(join("a", "test/#"))
    plain = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
    heard = Recorder[object]()
    plain.on_message = lambda _client, _data, message: heard(message)
    plain.on_subscribe = lambda *_: heard("subscribed")
    plain.connect(LOCAL, int(world.url.rpartition(":")[2]))
    plain.subscribe("other/#")
    plain.loop_start()
    heard.wait_for(str)
    plain.publish("test/plain", b"from 3.1.1", qos=1)
    assert ours.messages(2)[1] == Message(topic="test/plain", payload=b"from 3.1.1")
    ours.bus.publish(Message(topic="other/x", payload=b"to 3.1.1", response_topic="test/r"))
    assert heard.wait_for(MQTTMessage)[0].payload == b"to 3.1.1"
    plain.disconnect()
    plain.loop_stop()
