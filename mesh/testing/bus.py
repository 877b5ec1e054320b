"""Buses and brokers in memory, for tests of a node or of your own code: no sockets, no threads, no time.

    network = MemoryNetwork()
    broker = network.broker("mqtt://a:1883")
    bus = network.connect("mqtt://a:1883", client_id="x", on_event=events.append)

Everything has happened when a call returns: events are delivered by whichever thread caused them,
one at a time and in order, and an event caused inside a callback waits until that one returns.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from threading import RLock

from mesh.errors import NotConnectedError, OverloadedError, TooLargeError, UsageError
from mesh.fleet.broker_url import parse_broker_url
from mesh.testing.mailbox import Mailbox
from mesh.transport.filters import check_filter, check_topic, matches
from mesh.transport.port import BusEvent, Connected, Disconnected, Message

_MAX_WAITING_BYTES = 32 << 20
_MAX_PACKET_BYTES = 268_435_455
_PACKET_OVERHEAD_BYTES = 16


class MemoryNetwork:
    """Implements `BusConnector` over brokers that it keeps by URL."""

    def __init__(self) -> None:
        self._brokers: dict[str, MemoryBroker] = {}
        self._mailbox = Mailbox()

    def broker(self, url: str, *, max_packet_bytes: int = _MAX_PACKET_BYTES) -> "MemoryBroker":
        """Return the broker at `url`; it is made, running, when first asked for."""
        url = str(parse_broker_url(url))
        if url not in self._brokers:
            self._brokers[url] = MemoryBroker(url, self._mailbox, max_packet_bytes)
        return self._brokers[url]

    def connect(
        self,
        url: str,
        *,
        client_id: str,
        on_event: Callable[[BusEvent], None],
        will: Message | None = None,
    ) -> "MemoryBus":
        if will is not None:
            check_topic(will.topic)
        bus = MemoryBus(self.broker(url), client_id, on_event, will)
        bus.broker.admit(bus)
        self._mailbox.deliver()
        return bus


class MemoryBroker:
    """Implements `Broker`, and what a test needs to hurt it."""

    def __init__(self, url: str, mailbox: Mailbox, max_packet_bytes: int) -> None:
        self.url = url
        self.kind = "memory"
        self.pid: int | None = None
        self.max_packet_bytes = max_packet_bytes
        self.serves_v5 = True  # False: properties are lost, as for 3.1.1 clients
        self.mailbox = mailbox
        self.lock = RLock()
        self._running = True
        self._retained: dict[str, Message] = {}
        self._buses: dict[str, MemoryBus] = {}  # by client id; connected or wanting to be
        self._cut: set[str] = set()  # client ids that cannot reach this broker
        self._stalled: deque[Message] | None = None

    def start(self) -> None:
        with self.lock:
            self._running = True
            for bus in list(self._buses.values()):
                self._let_in(bus)
        self.mailbox.deliver()

    def is_alive(self) -> bool:
        return self._running

    def stop(self) -> None:
        """Die: no wills are sent, and retained messages are forgotten."""
        with self.lock:
            self._running = False
            self._stalled = None
            self._retained.clear()
            for bus in self._buses.values():
                bus.lose("the broker is gone")
        self.mailbox.deliver()

    def stall(self) -> None:
        """Stop taking messages, as a broker that hangs, until `resume`."""
        with self.lock:
            self._stalled = deque()

    def resume(self) -> None:
        with self.lock:
            held, self._stalled = self._stalled or deque(), None
            for message in held:
                self._route(message)
            for bus in self._buses.values():
                bus.waiting_bytes = 0
        self.mailbox.deliver()

    def cut(self, client_id: str) -> None:
        """Break the connection of one client, so that its will is sent; it stays away until `mend`."""
        with self.lock:
            self._cut.add(client_id)
            bus = self._buses.get(client_id)
            if bus is not None and bus.lose("the network is cut"):
                self._send_will(bus)
        self.mailbox.deliver()

    def mend(self, client_id: str) -> None:
        """Let a client that was cut off connect again."""
        with self.lock:
            self._cut.discard(client_id)
            bus = self._buses.get(client_id)
            if bus is not None:
                self._let_in(bus)
        self.mailbox.deliver()

    def retained(self) -> dict[str, Message]:
        """Return what a new subscriber would get, by topic."""
        return dict(self._retained)

    def admit(self, bus: "MemoryBus") -> None:
        """Connect a new bus; an older one with its client id is put out (MQTT 5 §3.1.4)."""
        with self.lock:
            older = self._buses.get(bus.client_id)
            if older is not None and older.lose("another client took over this client id"):
                self._send_will(older)
            self._buses[bus.client_id] = bus
            self._let_in(bus)

    def dismiss(self, bus: "MemoryBus") -> None:
        with self.lock:
            if self._buses.get(bus.client_id) is bus:
                del self._buses[bus.client_id]

    def take(self, message: Message) -> bool:
        """Route a message, or hold it while stalled; tell whether it was routed."""
        with self.lock:
            if self._stalled is not None:
                self._stalled.append(message)
                return False
            self._route(message)
            return True

    def give_retained(self, bus: "MemoryBus", topic_filter: str, qos: int) -> None:
        with self.lock:
            for message in self._retained.values():
                if matches(topic_filter, message.topic):
                    bus.give(replace(message, qos=min(qos, message.qos), retain=True))

    def _let_in(self, bus: "MemoryBus") -> None:
        if self._running and bus.client_id not in self._cut:
            bus.gain()
        else:
            bus.lose("the broker cannot be reached")

    def _send_will(self, bus: "MemoryBus") -> None:
        if bus.will is not None:
            self.take(bus.will)

    def _route(self, message: Message) -> None:
        message = message if self.serves_v5 else _without_properties(message)
        if message.retain and message.payload:
            self._retained[message.topic] = message
        elif message.retain:
            self._retained.pop(message.topic, None)  # §3.3.1.3: an empty one clears
        for bus in self._buses.values():
            qos = bus.wants(message.topic)
            if qos is not None:
                bus.give(replace(message, qos=min(qos, message.qos), retain=False))


class MemoryBus:
    """Implements `Bus`."""

    def __init__(
        self,
        broker: MemoryBroker,
        client_id: str,
        on_event: Callable[[BusEvent], None],
        will: Message | None,
    ) -> None:
        self.broker = broker
        self.client_id = client_id
        self.will = will
        self.max_waiting_bytes = _MAX_WAITING_BYTES
        self.waiting_bytes = 0
        self._on_event = on_event
        self._filters: dict[str, int] = {}
        self._connected = False
        self._closed = False
        self._last_reason: str | None = None

    @property
    def url(self) -> str:
        return self.broker.url

    @property
    def is_connected(self) -> bool:
        return self._connected

    def subscribe(self, topic_filter: str, *, qos: int) -> None:
        check_filter(topic_filter)
        with self.broker.lock:
            self._filters[topic_filter] = qos
            if self._connected:
                self.broker.give_retained(self, topic_filter, qos)
        self.broker.mailbox.deliver()

    def publish(self, message: Message) -> None:
        check_topic(message.topic)
        size_bytes = len(message.payload) + len(message.topic) + _PACKET_OVERHEAD_BYTES
        with self.broker.lock:
            self._check(message, size_bytes)
            if not self.broker.take(replace(message, duplicate=False)):
                self.waiting_bytes += size_bytes
        self.broker.mailbox.deliver()

    def close(self) -> None:
        with self.broker.lock:
            self._closed = True
            self._connected = False
            self.broker.dismiss(self)

    def vanish(self) -> None:
        """End as a process that is killed: without goodbye, so the will is sent; for ever."""
        self._closed = True
        self.broker.cut(self.client_id)
        self.broker.dismiss(self)
        self.broker.mend(self.client_id)

    def gain(self) -> None:
        """Become connected; the broker calls this, and the next three, under its lock."""
        if self._connected or self._closed:
            return
        self._connected = True
        self._last_reason = None
        self.give(Connected())
        for topic_filter, qos in self._filters.items():
            self.broker.give_retained(self, topic_filter, qos)

    def lose(self, reason: str) -> bool:
        """Become disconnected; tell whether there was a connection."""
        was_connected, self._connected = self._connected, False
        self.waiting_bytes = 0
        if reason != self._last_reason:
            self._last_reason = reason
            self.give(Disconnected(reason=reason))
        return was_connected

    def wants(self, topic: str) -> int | None:
        """Return the best QoS of the filters that match; None when there is none."""
        granted = [qos for one, qos in self._filters.items() if matches(one, topic)]
        return max(granted) if self._connected and granted else None

    def give(self, event: BusEvent) -> None:
        self.broker.mailbox.put(lambda: self._hand_on(event))

    def _hand_on(self, event: BusEvent) -> None:
        if not self._closed:
            self._on_event(event)

    def _check(self, message: Message, size_bytes: int) -> None:
        if not self._connected:
            raise NotConnectedError(f"there is no connection to {self.url} now: try again later")
        if message.user_properties and not self.broker.serves_v5:
            raise UsageError(f"{self.url} speaks MQTT 3.1.1, which carries no user properties")
        if size_bytes > self.broker.max_packet_bytes:
            raise TooLargeError(
                f"a message to {message.topic} takes {size_bytes} bytes, and {self.url} takes at "
                f"most {self.broker.max_packet_bytes}: send less at once"
            )
        if self.waiting_bytes and self.waiting_bytes + size_bytes > self.max_waiting_bytes:
            raise OverloadedError(f"{self.waiting_bytes} bytes wait already: send more slowly")


def _without_properties(message: Message) -> Message:
    return replace(
        message,
        response_topic=None,
        correlation_data=None,
        content_type=None,
        expiry_s=None,
        user_properties=(),
    )
