"""The worlds that the contract of a bus is tested in: a broker, a link to it that can be hurt."""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Event, Lock, Thread
from typing import Protocol

import pytest

from mesh.testing.bus import MemoryBroker, MemoryNetwork
from mesh.transport.embedded import EmbeddedBroker
from mesh.transport.mosquitto import MosquittoBroker, find_mosquitto
from mesh.transport.paho_bus import PahoConnector
from mesh.transport.port import Broker, Bus, BusConnector, BusEvent, Connected, Message
from mesh.transport.ports import free_port

LOCAL = "127.0.0.1"


class Recorder:
    """Takes a bus's events and waits for them."""

    def __init__(self) -> None:
        self.events: list[BusEvent] = []
        self._changed = Condition()

    def __call__(self, event: BusEvent) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    @property
    def messages(self) -> list[Message]:
        return [event for event in self.events if isinstance(event, Message)]

    def wait_for(self, kind: type[BusEvent], count: int = 1, timeout_s: float = 10.0) -> None:
        """Return when `count` events of a kind have come in all."""

        def enough() -> bool:
            return sum(isinstance(event, kind) for event in self.events) >= count

        with self._changed:
            assert self._changed.wait_for(enough, timeout_s), f"no {kind.__name__}: {self.events}"


class Proxy:
    """A TCP link to a broker that stalls and breaks on command."""

    def __init__(self, port: int) -> None:
        self._to_port = port
        self._listener = socket.create_server((LOCAL, 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[Thread] = []
        self._flowing = Event()
        self._flowing.set()
        self._lock = Lock()
        self._spawn(self._accept)

    def stall(self) -> None:
        self._flowing.clear()

    def cut(self) -> None:
        """Break every connection, without a word to either side's MQTT."""
        with self._lock:
            broken, self._sockets = self._sockets, []
        for one in broken:
            _break(one)
        self._flowing.set()

    def close(self) -> None:
        _break(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def _spawn(self, target: Callable[..., None], *arguments: socket.socket) -> None:
        thread = Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._join(near)

    def _join(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection((LOCAL, self._to_port))
        except OSError:
            near.close()
            return
        with self._lock:
            self._sockets += [near, far]
        self._spawn(self._pump, near, far)
        self._spawn(self._pump, far, near)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._flowing.wait()
                sink.sendall(data)
        _break(source)
        _break(sink)


def _break(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


class World(Protocol):
    """A broker, and a connector whose link to it can be hurt."""

    name: str
    serves_v5: bool
    connector: BusConnector
    url: str
    broker: Broker

    def stall(self) -> None: ...
    def cut(self, client_id: str) -> None: ...


@dataclass
class MemoryWorld:
    broker: MemoryBroker
    connector: MemoryNetwork
    url: str
    name: str = "memory"
    serves_v5: bool = True

    def stall(self) -> None:
        self.broker.stall()

    def cut(self, client_id: str) -> None:
        self.broker.cut(client_id)
        self.broker.mend(client_id)


@dataclass
class RealWorld:
    name: str
    broker: Broker
    proxy: Proxy
    connector: PahoConnector
    serves_v5: bool

    @property
    def url(self) -> str:
        return f"mqtt://{LOCAL}:{self.proxy.port}"

    def stall(self) -> None:
        self.proxy.stall()

    def cut(self, client_id: str) -> None:
        self.proxy.cut()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(
    params=[
        "memory",
        pytest.param("mosquitto", marks=pytest.mark.real),
        pytest.param("mosquitto, 2 MB packets", marks=pytest.mark.real),
        pytest.param("amqtt", marks=pytest.mark.real),
    ]
)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    name: str = request.param
    if name == "memory":
        network = MemoryNetwork()
        url = "mqtt://memory:1883"
        yield MemoryWorld(network.broker(url, max_packet_bytes=2_000_000), network, url)
        return
    broker = _real_broker(name)
    broker.start()
    proxy = Proxy(int(broker.url.rpartition(":")[2]))
    connector = PahoConnector(v5_accept_timeout_s=0.3)
    yield RealWorld(name, broker, proxy, connector, serves_v5=name != "amqtt")
    proxy.close()
    broker.stop()


def _real_broker(name: str) -> Broker:
    port = free_port(LOCAL)
    if name == "amqtt":
        return EmbeddedBroker(port=port, bind=LOCAL)
    program = find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed")
    limit = {"max_packet_bytes": 2_000_000} if "2 MB" in name else {}
    return MosquittoBroker(program, port=port, bind=LOCAL, **limit)


@pytest.fixture
def connect(world: World) -> Iterator[Callable[..., tuple[Bus, Recorder]]]:
    """Make connected buses, closed when the test ends."""
    buses: list[Bus] = []

    def make(client_id: str, *, will: Message | None = None) -> tuple[Bus, Recorder]:
        recorder = Recorder()
        bus = world.connector.connect(
            world.url, client_id=client_id, on_event=recorder, will=will
        )
        buses.append(bus)
        recorder.wait_for(Connected)
        return bus, recorder

    yield make
    for bus in buses:
        bus.close()
