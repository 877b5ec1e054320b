"""An MQTT client as anybody's, straight on paho: it knows nothing of the mesh and keeps all it hears.

    with MqttClient(url, "mesh/1/response/#", v5=False) as client:
        client.publish("mesh/1/request/infer/pose/me", payload)
        [reply] = client.take(1, timeout_s=5)

`mesh.Client` is what programs use; this one is for tests, which have to see what others would.
"""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from mesh.errors import BrokerError, DeadlineExceededError
from mesh.fleet.broker_url import parse_broker_url
from mesh.transport.filters import matches

if TYPE_CHECKING:
    from typing_extensions import Self

CONNECT_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A message that arrived; the last two are None for a 3.1.1 client."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    correlation_data: bytes | None
    content_type: str | None


class MqttClient:
    """One connection that never reconnects, subscribed to its filters when it is made.

    Raises: BrokerError, DeadlineExceededError.
    """

    def __init__(self, url: str, *filters: str, v5: bool = True) -> None:
        self._v5 = v5
        self._filters = filters
        self._heard: list[Heard] = []
        self._changed = threading.Condition()
        self._subscribed = 0
        self.ended: str | None = None
        """Why the broker ended the connection; None while it is up."""
        self._client = self._connect(url)
        for one in filters:
            self._client.subscribe(one, 1)
        self._await(lambda: self._subscribed == len(filters), CONNECT_TIMEOUT_S, "subscribe")

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, **properties: Any
    ) -> None:
        """Send a message; `properties` are MQTT 5's by paho's names, as in `ResponseTopic="me"`."""
        said = Properties(PacketTypes.PUBLISH) if self._v5 else None  # type: ignore[no-untyped-call]
        for name, value in properties.items():
            setattr(said, name, value)
        self._client.publish(topic, payload, qos, retain, said)

    def take(self, count: int, *, timeout_s: float) -> list[Heard]:
        """Wait for `count` messages and take all there are. Raises: DeadlineExceededError."""
        self._await(lambda: len(self._heard) >= count, timeout_s, f"hear {count} messages")
        with self._changed:
            taken, self._heard = self._heard, []
        return taken

    def await_heard(self, is_it: Callable[[Heard], bool], *, timeout_s: float) -> None:
        """Wait for a message and leave it where it is. Raises: DeadlineExceededError."""
        self._await(lambda: any(map(is_it, self._heard)), timeout_s, "hear the message")

    def await_end(self, *, timeout_s: float) -> str:
        """Wait until the broker ends the connection; returns its reason."""
        self._await(lambda: self.ended is not None, timeout_s, "be disconnected")
        return self.ended or ""

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _connect(self, url: str) -> Client:
        where = parse_broker_url(url)
        version = MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311
        client = Client(CallbackAPIVersion.VERSION2, protocol=version, reconnect_on_failure=False)
        accepted = threading.Event()
        client.on_socket_open = _send_at_once
        client.on_connect = lambda *_: accepted.set()
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        try:
            client.connect(where.host, where.port)
        except OSError as error:
            raise BrokerError(f"no broker answers at {url}: {error}") from error
        client.loop_start()
        if not accepted.wait(CONNECT_TIMEOUT_S):
            client.loop_stop()
            raise BrokerError(f"{url} does not accept MQTT {'5' if self._v5 else '3.1.1'}")
        return client

    def _await(self, is_so: Callable[[], bool], timeout_s: float, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(is_so, timeout_s):
                heard = [(one.topic, one.payload[:200]) for one in self._heard]
                raise DeadlineExceededError(
                    f"waited {timeout_s:.3g} s to {what}; heard {heard}, ended: {self.ended}"
                )

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        if not any(matches(one, message.topic) for one in self._filters):
            return  # amqtt 0.12 sends to each new client what is retained for anybody's filters
        said = message.properties
        heard = Heard(
            topic=message.topic,
            payload=bytes(message.payload),
            qos=message.qos,
            retain=message.retain,
            correlation_data=getattr(said, "CorrelationData", None),
            content_type=getattr(said, "ContentType", None),
        )
        with self._changed:
            self._heard.append(heard)
            self._changed.notify_all()

    def _on_subscribe(self, *_: Any) -> None:
        with self._changed:
            self._subscribed += 1
            self._changed.notify_all()

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: Any, code: ReasonCode, _said: Any
    ) -> None:
        with self._changed:
            self.ended = str(code)
            self._changed.notify_all()


def _send_at_once(_client: Client, _data: Any, opened: Any) -> None:
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
