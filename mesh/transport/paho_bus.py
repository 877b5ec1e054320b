"""The bus over paho-mqtt: keeps one connection up, MQTT 5 first; what a connection does is elsewhere."""

import logging
from collections.abc import Callable, Iterator
from threading import Event, Lock, Thread, current_thread
from time import monotonic

from mesh.errors import NotConnectedError
from mesh.fleet.broker_url import parse_broker_url
from mesh.transport.filters import check_filter, check_topic
from mesh.transport.paho_connection import FLUSH_TIMEOUT_S, End, PahoConnection, Settings
from mesh.transport.paho_packets import MAX_PACKET_BYTES, publish_properties
from mesh.transport.port import BusEvent, Connected, Disconnected, Message

_LOG = logging.getLogger("mesh.transport")

FIRST_DELAY_S = 0.1
LAST_DELAY_S = 4.0
V5_ACCEPT_TIMEOUT_S = 1.5  # amqtt misreads a v5 CONNECT with properties and stays silent
MAX_WAITING_BYTES = 32 << 20  # 27 s at 10 Mbit/s: less than the keepalive
# Brokers announce a Receive Maximum from 10 (HiveMQ) to 65,535; going over it ends the connection.
MAX_IN_FLIGHT = 10


class PahoConnector:
    """Makes buses that connect over TCP."""

    def __init__(
        self,
        *,
        max_packet_bytes: int = MAX_PACKET_BYTES,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        v5_accept_timeout_s: float = V5_ACCEPT_TIMEOUT_S,
    ) -> None:
        self._max_packet_bytes = min(max_packet_bytes, MAX_PACKET_BYTES)
        self._max_waiting_bytes = max_waiting_bytes
        self._v5_accept_timeout_s = v5_accept_timeout_s

    def connect(
        self,
        url: str,
        *,
        client_id: str,
        on_event: Callable[[BusEvent], None],
        will: Message | None = None,
    ) -> "PahoBus":
        if will is not None:
            check_topic(will.topic)
            publish_properties(will)
        settings = Settings(
            url=parse_broker_url(url),
            client_id=client_id,
            will=will,
            max_packet_bytes=self._max_packet_bytes,
            max_waiting_bytes=self._max_waiting_bytes,
            v5_accept_timeout_s=self._v5_accept_timeout_s,
        )
        bus = PahoBus(settings, on_event)
        bus.start()
        return bus


class PahoBus:
    """See `Bus`. One thread connects, reads, writes and calls `on_event`."""

    def __init__(self, settings: Settings, on_event: Callable[[BusEvent], None]) -> None:
        self._settings = settings
        self._on_event = on_event
        self._lock = Lock()  # guards the next three; never held while paho is called
        self._filters: dict[str, int] = {}  # topic filter → QoS
        self._trying: PahoConnection | None = None
        self._live: PahoConnection | None = None
        self._in_flight = MAX_IN_FLIGHT
        self._last_reason: str | None = None
        self._closed = Event()
        self._thread = Thread(target=self._run, name=f"bus {settings.url}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def url(self) -> str:
        return str(self._settings.url)

    @property
    def is_connected(self) -> bool:
        return self._live is not None

    @property
    def is_v5(self) -> bool:
        """Whether the present connection carries MQTT 5 properties."""
        live = self._live
        return live is not None and live.is_v5

    def subscribe(self, topic_filter: str, *, qos: int) -> None:
        check_filter(topic_filter)
        with self._lock:
            self._filters[topic_filter] = qos
            live = self._live
        if live is not None:
            live.subscribe(topic_filter, qos)

    def publish(self, message: Message) -> None:
        check_topic(message.topic)
        live = self._live
        if live is None:
            raise NotConnectedError(f"there is no connection to {self.url} now: try again later")
        live.publish(message)

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            trying = self._trying
            self._live = None
        if trying is not None:
            trying.end()
        if current_thread() is not self._thread:
            self._thread.join(FLUSH_TIMEOUT_S * 2)  # longer only while a TCP connect hangs

    def _run(self) -> None:
        delays_s = _delays_s()
        while not self._closed.is_set():
            began_s = monotonic()
            end = self._connect_once(v5=True)
            if end is End.REFUSED and not self._closed.is_set():
                # A 3.1.1 broker says no to MQTT 5, or just hangs up. Each new try starts at 5,
                # so a broker that was merely on its way down is not served 3.1.1 for long.
                end = self._connect_once(v5=False)
            if end is End.LOST and monotonic() - began_s > LAST_DELAY_S:
                delays_s = _delays_s()
            self._closed.wait(next(delays_s))

    def _connect_once(self, *, v5: bool) -> End:
        connection = PahoConnection(
            self._settings,
            v5=v5,
            in_flight=self._in_flight,
            on_accepted=self._accepted,
            on_message=self._emit,
        )
        with self._lock:
            self._trying = connection
        if self._closed.is_set():
            return End.UNREACHABLE
        end = connection.run()
        with self._lock:
            self._trying = self._live = None
        self._in_flight = connection.in_flight
        if not (v5 and end is End.REFUSED):
            self._report(connection.reason)
        return end

    def _accepted(self, connection: PahoConnection) -> None:
        with self._lock:
            if self._closed.is_set():
                return
            self._live = connection
            filters = dict(self._filters)
        for topic_filter, qos in filters.items():
            connection.subscribe(topic_filter, qos)
        self._last_reason = None
        _LOG.info("connected to %s (MQTT %s)", self.url, "5" if connection.is_v5 else "3.1.1")
        self._emit(Connected())

    def _report(self, reason: str) -> None:
        if reason == self._last_reason or self._closed.is_set():
            return
        self._last_reason = reason
        _LOG.info("not connected to %s: %s", self.url, reason)
        self._emit(Disconnected(reason=reason))

    def _emit(self, event: BusEvent) -> None:
        if self._closed.is_set():
            return
        try:
            self._on_event(event)
        except Exception:  # noqa: BLE001
            # The observer's fault must not end the connection that others rely on.
            _LOG.exception("an event of %s was not taken", self.url)


def _delays_s() -> Iterator[float]:
    """Between attempts, without end: doubling, capped."""
    delay_s = FIRST_DELAY_S
    while True:
        yield delay_s
        delay_s = min(delay_s * 2, LAST_DELAY_S)
