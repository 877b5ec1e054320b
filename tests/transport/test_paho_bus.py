"""What is paho's own part of the bus: versions, what is not sent again, brokers that misbehave."""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread

import pytest

from mesh.testing.recorder import Recorder
from mesh.testing.tcp_link import TcpLink
from mesh.transport.embedded import EmbeddedBroker
from mesh.transport.mosquitto import MosquittoBroker, find_mosquitto
from mesh.transport.paho_bus import PahoBus, PahoConnector
from mesh.transport.port import BusEvent, Connected, Disconnected, Message
from mesh.transport.ports import free_port

LOCAL = "127.0.0.1"
CONNACK_V5 = b"\x20\x03\x00\x00\x00"
CONNACK_V4 = b"\x20\x02\x00\x00"
UNSUPPORTED = b"\x20\x02\x00\x01"


class Silence(bytes):
    """An answer that never comes."""


class ScriptedBroker:
    """Answers each connection's CONNECT with the next of its answers, and keeps what it heard."""

    def __init__(self, *answers: bytes) -> None:
        self._listener = socket.create_server((LOCAL, 0))
        self.url = f"mqtt://{LOCAL}:{self._listener.getsockname()[1]}"
        self.connects = Recorder[bytes]()
        self._answers = answers
        self._open: list[socket.socket] = []
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        for one in [self._listener, *self._open]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._thread.join(5)

    def _serve(self) -> None:
        with suppress(OSError):
            for answer in self._answers:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                self.connects(connection.recv(1000))
                connection.sendall(answer)
                if answer in {b"", UNSUPPORTED} and not isinstance(answer, Silence):
                    connection.close()


def level(connect: bytes) -> int:
    """Return the protocol level of a CONNECT (§3.1.2.2)."""
    return connect[8]


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedBroker]]:
    made: list[ScriptedBroker] = []

    def make(*answers: bytes) -> ScriptedBroker:
        made.append(ScriptedBroker(*answers))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def join() -> Iterator[Callable[..., tuple[PahoBus, Recorder[BusEvent]]]]:
    buses: list[PahoBus] = []

    def make(url: str, **limits: float) -> tuple[PahoBus, Recorder[BusEvent]]:
        heard = Recorder[BusEvent]()
        connector = PahoConnector(v5_accept_timeout_s=limits.pop("v5_accept_timeout_s", 0.3))
        buses.append(connector.connect(url, client_id="a", on_event=heard))
        return buses[-1], heard

    yield make
    for bus in buses:
        bus.close()


Join = Callable[..., tuple[PahoBus, Recorder[BusEvent]]]
Scripted = Callable[..., ScriptedBroker]


def test_mqtt_5_comes_first(scripted: Scripted, join: Join) -> None:
    broker = scripted(CONNACK_V5)
    bus, heard = join(broker.url)
    heard.wait_for(Connected)
    assert bus.is_v5
    assert level(broker.connects.of(bytes)[0]) == 5


@pytest.mark.parametrize("refusal", [UNSUPPORTED, b"", b"\x20\x02\x00\x01\x00"])
def test_a_broker_that_refuses_mqtt_5_is_asked_for_3_1_1(
    scripted: Scripted, join: Join, refusal: bytes
) -> None:
    broker = scripted(refusal, CONNACK_V4)
    bus, heard = join(broker.url)
    heard.wait_for(Connected)
    assert not bus.is_v5
    assert [level(one) for one in broker.connects.wait_for(bytes, 2)] == [5, 4]
    assert heard.events == [Connected()], "a refused version is no loss of connection"


def test_a_broker_that_is_silent_on_mqtt_5_too(scripted: Scripted, join: Join) -> None:
    broker = scripted(Silence(b""), CONNACK_V4)
    _, heard = join(broker.url)
    heard.wait_for(Connected)
    assert [level(one) for one in broker.connects.wait_for(bytes, 2)] == [5, 4]


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 400 Bad Request" + b" " * 100, b"\xff" * 50, CONNACK_V5 + b"\x00\x00"]
)
def test_garbage_ends_a_connection_but_not_the_bus(
    scripted: Scripted, join: Join, garbage: bytes
) -> None:
    broker = scripted(garbage, garbage, CONNACK_V5)
    _, heard = join(broker.url)
    broker.connects.wait_for(bytes, 3)
    heard.wait_for(Connected)


def test_a_topic_that_is_not_text_is_dropped(
    scripted: Scripted, join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    bad = b"\x30\x05\x00\x01\xff\x00x"
    good = b"\x30\x05\x00\x01t\x00x"
    with caplog.at_level(logging.WARNING, "mesh.transport"):
        _, heard = join(scripted(CONNACK_V5 + bad + good).url)
        assert heard.wait_for(Message) == [Message(topic="t", payload=b"x")]
    assert "not text" in caplog.text


def test_an_observers_fault_does_not_end_the_bus(
    scripted: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Recorder[BusEvent]()

    def fail_at_first(event: BusEvent) -> None:
        heard(event)
        if event == Connected():
            raise RuntimeError("observer")

    broker = scripted(CONNACK_V5 + b"\x30\x05\x00\x01t\x00x")
    bus = PahoConnector().connect(broker.url, client_id="a", on_event=fail_at_first)
    heard.wait_for(Message)
    bus.close()
    assert "was not taken" in caplog.text


def test_a_refusal_is_told_with_its_reason(scripted: Scripted, join: Join) -> None:
    not_authorized = b"\x20\x03\x00\x87\x00"
    _, heard = join(scripted(not_authorized, b"\x20\x02\x00\x05").url)
    assert heard.wait_for(Disconnected)[0].reason == "Not authorized"


def test_closing_while_nothing_answers(scripted: Scripted, join: Join) -> None:
    broker = scripted(Silence(b""))
    bus, heard = join(broker.url, v5_accept_timeout_s=30)
    broker.connects.wait_for(bytes)
    bus.close()
    assert heard.events == []


@pytest.mark.real
def test_what_was_not_acknowledged_is_not_sent_again(join: Join) -> None:
    program = find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed")
    broker = MosquittoBroker(program, port=free_port(LOCAL, 18830), bind=LOCAL)
    broker.start()
    link = TcpLink(int(broker.url.rpartition(":")[2]))
    bus, heard = join(f"mqtt://{LOCAL}:{link.port}")
    bus.subscribe("test/#", qos=1)
    heard.wait_for(Connected)
    link.stall()
    bus.publish(Message(topic="test/state", payload=b"old", qos=1, retain=True))
    link.cut()
    heard.wait_for(Connected, 2)
    bus.publish(Message(topic="test/state", payload=b"new", qos=1, retain=True))
    bus.publish(Message(topic="test/end", payload=b"", qos=1))
    heard.wait_for(Message, 2)
    assert [message.payload for message in heard.of(Message)] == [b"new", b""]
    link.close()
    broker.stop()


@pytest.mark.real
def test_amqtt_is_served_3_1_1() -> None:
    broker = EmbeddedBroker(port=free_port(LOCAL, 18830), bind=LOCAL)
    broker.start()
    heard = Recorder[BusEvent]()
    will = Message(topic="w", payload=b"", content_type="text/plain")
    bus = PahoConnector().connect(broker.url, client_id="a", on_event=heard, will=will)
    heard.wait_for(Connected)
    assert not bus.is_v5
    bus.close()
    broker.stop()
