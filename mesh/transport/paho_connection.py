"""One connection to one broker over paho-mqtt, from TCP connect to its end; never a second try.

A new paho client per connection is on purpose: paho keeps unacknowledged QoS 1 messages and sends
them again after reconnecting, behind newer ones. That would put old retained state over new, and
repeat for ever a message that the broker drops its sender for.
"""

import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from time import monotonic
from typing import Any

from paho.mqtt.client import (
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
)
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from mesh.errors import (
    NotConnectedError,
    OverloadedError,
    TooLargeError,
    TransportError,
    UsageError,
)
from mesh.fleet.broker_url import BrokerUrl
from mesh.transport.paho_packets import (
    connect_properties,
    packet_bytes,
    publish_properties,
    received,
)
from mesh.transport.port import Message
from mesh.transport.send_buffer import SendBuffer

_LOG = logging.getLogger("mesh.transport")

KEEPALIVE_S = 30  # must outlast the sending of a full buffer, or paho times itself out
TCP_TIMEOUT_MS = 3000  # unacknowledged bytes for that long end the connection
ACCEPT_TIMEOUT_S = 5.0  # to connect, and again to CONNACK
FLUSH_TIMEOUT_S = 1.0  # from close to having sent what waits
_POLL_S = 0.25
_PROPERTY_ERRORS = (ValueError, TypeError, OverflowError)


class End(Enum):
    """How far a connection got."""

    UNREACHABLE = "unreachable"  # no TCP connection
    REFUSED = "refused"  # no CONNACK, or one that says no
    LOST = "lost"  # was accepted, is over


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What every connection of a bus has in common."""

    url: BrokerUrl
    client_id: str
    will: Message | None
    max_packet_bytes: int
    max_waiting_bytes: int
    v5_accept_timeout_s: float


class PahoConnection:
    """`run` on one thread; everything else from any."""

    def __init__(
        self,
        settings: Settings,
        *,
        v5: bool,
        in_flight: int,
        on_accepted: Callable[["PahoConnection"], None],
        on_message: Callable[[Message], None],
    ) -> None:
        self._settings = settings
        self._v5 = v5
        self._in_flight = in_flight
        self._on_accepted = on_accepted
        self._on_message = on_message
        self._max_packet_bytes = settings.max_packet_bytes
        self._buffer = SendBuffer(max_bytes=settings.max_waiting_bytes)
        self._accepted = False
        self._end_by_s: float | None = None
        self.reason = "no answer"
        self._client = self._make_client()

    @property
    def is_v5(self) -> bool:
        return self._v5

    @property
    def in_flight(self) -> int:
        """QoS 1 messages that may be under way: fewer than asked for when the broker says so."""
        return self._in_flight

    def run(self) -> End:
        """Connect and stay until the connection ends; `reason` then says why."""
        try:
            self._connect()
        except (OSError, ValueError) as error:
            self.reason = str(error) or type(error).__name__
            return End.UNREACHABLE
        try:
            self._loop()
        except Exception as error:  # noqa: BLE001
            # Whatever a hostile broker makes paho raise ends this connection, not the thread.
            _LOG.warning("the connection to %s broke down", self._settings.url, exc_info=True)
            self.reason = f"unreadable packet: {error}"
        finally:
            self._let_go()
        return End.LOST if self._accepted else End.REFUSED

    def subscribe(self, topic_filter: str, qos: int) -> None:
        self._client.subscribe(topic_filter, qos)

    def publish(self, message: Message) -> None:
        """See `Bus.publish`; the topic is checked already."""
        if message.user_properties and not self._v5:
            raise UsageError(
                f"{self._settings.url} speaks MQTT 3.1.1, which carries no user properties: say "
                "what they say in a JSON payload"
            )
        properties = publish_properties(message)
        size_bytes = packet_bytes(message, properties, v5=self._v5)
        if size_bytes > self._max_packet_bytes:
            raise TooLargeError(
                f"a message to {message.topic} takes {size_bytes} bytes, and {self._settings.url} "
                f"takes at most {self._max_packet_bytes}: send less at once"
            )
        self._buffer.reserve(size_bytes)
        try:
            packet_id = self._hand_over(message, properties)
        except TransportError:
            self._buffer.give_back(size_bytes)
            raise
        self._buffer.enter(packet_id, size_bytes)

    def end(self) -> None:
        """Send what waits, then DISCONNECT; whatever is not out by the deadline is dropped."""
        self._end_by_s = monotonic() + FLUSH_TIMEOUT_S
        self._client.disconnect()

    def _hand_over(self, message: Message, properties: Properties | None) -> int:
        try:
            info = self._client.publish(
                message.topic,
                message.payload,
                message.qos,
                message.retain,
                properties if self._v5 else None,
            )
        except _PROPERTY_ERRORS as error:
            raise TransportError(f"message to {message.topic} cannot be sent: {error}") from error
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            raise OverloadedError(f"{self._settings.url} acknowledges too slowly: send more slowly")
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise NotConnectedError(f"the connection to {self._settings.url} has just ended")
        return info.mid

    def _make_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = ACCEPT_TIMEOUT_S
        client.max_inflight_messages_set(self._in_flight)
        client.on_socket_open = _tune_socket
        # With this callback set, paho leaves all writing to the thread in `run`: without it, each
        # publishing thread would write to the socket itself, and packets could interleave.
        client.on_socket_register_write = _leave_to_loop
        client.on_connect = self._on_connack
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_publish_in
        client.on_publish = self._on_publish_out
        client.on_subscribe = self._on_suback
        self._set_will(client)
        return client

    def _set_will(self, client: Client) -> None:
        will = self._settings.will
        if will is not None:
            properties = publish_properties(will, PacketTypes.WILLMESSAGE) if self._v5 else None
            client.will_set(will.topic, will.payload, will.qos, will.retain, properties)

    def _connect(self) -> None:
        url = self._settings.url
        if self._v5:
            wishes = connect_properties(max_packet_bytes=self._settings.max_packet_bytes)
            self._client.connect(
                url.host, url.port, KEEPALIVE_S, clean_start=True, properties=wishes
            )
        else:
            self._client.connect(url.host, url.port, KEEPALIVE_S)
        if self._end_by_s is not None:  # asked for meanwhile, when there was no socket to say it on
            self._client.disconnect()

    def _loop(self) -> None:
        v5_timeout_s = self._settings.v5_accept_timeout_s
        accept_by_s = monotonic() + (v5_timeout_s if self._v5 else ACCEPT_TIMEOUT_S)
        while self._client.loop(_POLL_S) == MQTTErrorCode.MQTT_ERR_SUCCESS:
            now_s = monotonic()
            if self._end_by_s is not None and now_s > self._end_by_s:
                return
            if not self._accepted and now_s > accept_by_s:
                self.reason = "it does not answer MQTT"
                return

    def _let_go(self) -> None:
        """Close the socket and break the reference cycle, so that paho frees its socket pair now."""
        client = self._client
        left_open = client.socket()
        if left_open is not None:
            left_open.close()
        client.on_connect = client.on_disconnect = client.on_message = None
        client.on_publish = client.on_subscribe = None

    def _on_connack(
        self,
        _client: Client,
        _data: Any,
        _flags: ConnectFlags,
        code: ReasonCode,
        said: Properties | None,
    ) -> None:
        if code.is_failure:
            self.reason = str(code)
            return
        self._max_packet_bytes = min(
            self._max_packet_bytes, getattr(said, "MaximumPacketSize", self._max_packet_bytes)
        )
        self._in_flight = min(self._in_flight, getattr(said, "ReceiveMaximum", self._in_flight))
        self._accepted = True
        self.reason = "the broker closed it"
        self._on_accepted(self)

    def _on_disconnect(
        self,
        _client: Client,
        _data: Any,
        flags: DisconnectFlags,
        code: ReasonCode,
        _said: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server or code.getName() == "Keep alive timeout":
            self.reason = str(code)

    def _on_publish_in(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        try:
            ours = received(message)
        except UnicodeDecodeError:
            _LOG.warning("dropped a message from %s: its topic is not text", self._settings.url)
            return
        self._on_message(ours)

    def _on_publish_out(
        self, _client: Client, _data: Any, packet_id: int, code: ReasonCode, _said: Properties
    ) -> None:
        self._buffer.take(packet_id)
        if code.is_failure:
            _LOG.warning("%s refused a message: %s", self._settings.url, code)

    def _on_suback(
        self, _client: Client, _data: Any, _id: int, codes: list[ReasonCode], _said: Properties
    ) -> None:
        for code in codes:
            if code.is_failure:
                _LOG.warning("%s refused a subscription: %s", self._settings.url, code)


def _tune_socket(_client: Client, _data: Any, opened: Any) -> None:
    if not isinstance(opened, socket.socket):
        return
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_TIMEOUT_MS)
    # A silent peer on an idle connection: probe after 2 s, then each second, until the timeout.
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)


def _leave_to_loop(_client: Client, _data: Any, _socket: Any) -> None:
    """Wake nobody: paho's socket pair has done so."""
