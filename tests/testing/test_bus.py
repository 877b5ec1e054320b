"""What only the fake can do; what it shares with real buses is tests/transport/test_bus_contract.py."""

from mesh.testing.bus import MemoryBus, MemoryNetwork
from mesh.testing.recorder import Recorder
from mesh.transport.port import BusEvent, Connected, Disconnected, Message

URL = "mqtt://memory:1883"
WILL = Message(topic="will", payload=b"lost", retain=True)


def join(
    network: MemoryNetwork, client_id: str, *filters: str, will: Message | None = None
) -> tuple[MemoryBus, Recorder[BusEvent]]:
    heard = Recorder[BusEvent]()
    bus = network.connect(URL, client_id=client_id, on_event=heard, will=will)
    for one in filters:
        bus.subscribe(one, qos=1)
    return bus, heard


def test_all_has_happened_when_a_call_returns() -> None:
    network = MemoryNetwork()
    sender, _ = join(network, "a")
    _, heard = join(network, "b", "#")
    sender.publish(Message(topic="t", payload=b"1"))
    assert heard.events == [Connected(), Message(topic="t", payload=b"1")]


def test_what_a_callback_causes_comes_after_it() -> None:
    network = MemoryNetwork()
    _, witness = join(network, "w", "#")
    order: list[str] = []
    buses: list[MemoryBus] = []

    def answer(event: BusEvent) -> None:
        if isinstance(event, Message) and event.topic == "ask":
            buses[0].publish(Message(topic="answer", payload=b""))
            order.append("callback returned")
            assert [message.topic for message in witness.of(Message)] == ["ask"]

    buses.append(network.connect(URL, client_id="a", on_event=answer))
    buses[0].subscribe("ask", qos=0)
    buses[0].publish(Message(topic="ask", payload=b""))
    assert order == ["callback returned"]
    assert [message.topic for message in witness.of(Message)] == ["ask", "answer"]


def test_a_vanished_bus_leaves_its_will_and_no_trace() -> None:
    network = MemoryNetwork()
    bus, heard = join(network, "a", will=WILL)
    _, witness = join(network, "b", "will")
    bus.vanish()
    assert [message.payload for message in witness.of(Message)] == [b"lost"]
    assert heard.events == [Connected()], "a dead process hears nothing"
    again, _ = join(network, "a")
    assert again.is_connected


def test_a_cut_client_stays_away_until_it_is_mended() -> None:
    network = MemoryNetwork()
    broker = network.broker(URL)
    bus, heard = join(network, "a", "t")
    broker.cut("a")
    assert not bus.is_connected
    broker.stop()
    broker.start()
    assert not bus.is_connected
    broker.mend("a")
    assert heard.of(Connected) == [Connected(), Connected()]
    assert len(heard.of(Disconnected)) == 3, "each with a reason of its own"


def test_a_second_client_of_one_id_puts_the_first_out() -> None:
    network = MemoryNetwork()
    _, witness = join(network, "w", "will")
    first, heard = join(network, "a", will=WILL)
    second, _ = join(network, "a")
    assert (first.is_connected, second.is_connected) == (False, True)
    assert len(heard.of(Disconnected)) == 1
    assert len(witness.of(Message)) == 1


def test_a_stalled_broker_delivers_when_it_resumes() -> None:
    network = MemoryNetwork()
    broker = network.broker(URL)
    bus, heard = join(network, "a", "t")
    broker.stall()
    bus.publish(Message(topic="t", payload=b"late"))
    assert heard.of(Message) == []
    broker.resume()
    assert [message.payload for message in heard.of(Message)] == [b"late"]
    assert bus.waiting_bytes == 0


def test_a_restarted_broker_has_forgotten_what_was_retained() -> None:
    network = MemoryNetwork()
    broker = network.broker(URL)
    bus, _ = join(network, "a")
    bus.publish(Message(topic="t", payload=b"x", retain=True))
    assert list(broker.retained()) == ["t"]
    broker.stop()
    assert not broker.is_alive()
    broker.start()
    assert broker.retained() == {}


def test_brokers_are_told_apart_by_url() -> None:
    network = MemoryNetwork()
    assert network.broker("mqtt://x") is network.broker("mqtt://x:1883")
    assert network.broker("mqtt://x") is not network.broker("mqtt://y")
