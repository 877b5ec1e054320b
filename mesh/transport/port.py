"""What the mesh asks of MQTT: a bus is one connection to one broker; a broker is a thing that runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One PUBLISH. The last five come from MQTT 5 properties and are empty for 3.1.1 publishers."""

    topic: str
    payload: bytes
    qos: int = 0  # 0 or 1
    retain: bool = False  # received: the broker had kept it from before the subscription
    duplicate: bool = False
    response_topic: str | None = None
    correlation_data: bytes | None = None
    content_type: str | None = None
    expiry_s: float | None = None
    user_properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The broker accepted the connection (again): publish retained state now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """The connection ended or could not be made; the bus goes on trying until it is closed.

    Said once per reason, not once per attempt.
    """

    reason: str


BusEvent = Connected | Disconnected | Message


class Bus(Protocol):
    """One connection to one broker, reconnecting by itself.

    Events come on a thread of the bus, one at a time, in the broker's order: the callback must
    only hand them on. The first may come before `connect` has returned; none comes after `close`.
    """

    @property
    def url(self) -> str: ...

    @property
    def is_connected(self) -> bool: ...

    def subscribe(self, topic_filter: str, *, qos: int) -> None:
        """Subscribe now and again after each reconnection. Raises: BadTopicError.

        Let the filters of one bus not overlap: brokers differ in how often they then deliver.
        """
        ...

    def publish(self, message: Message) -> None:
        """Hand one message to the connection, which sends it at most once.

        When it raises, the broker never sees the message. When it returns and the connection ends
        before the broker has taken it, the message is forgotten, also at QoS 1: who needs an
        answer waits for one, and retained state is published anew on `Connected`.

        Raises: NotConnectedError when there is no connection, OverloadedError when the bounded
        send buffer is full, TooLargeError when the broker would not take a packet of that size,
        BadTopicError, UsageError for user properties, which mean something to their receiver, over
        a connection that carries none.
        """
        ...

    def close(self) -> None:
        """Send what is waiting and disconnect, so that the broker drops the will.

        Harmless when called again, and from the bus's own thread.
        """
        ...


class BusConnector(Protocol):
    """Makes buses."""

    def connect(
        self,
        url: str,
        *,
        client_id: str,
        on_event: Callable[[BusEvent], None],
        will: Message | None = None,
    ) -> Bus:
        """Start connecting to `mqtt://host:port` and return at once; `Connected` says when it is up.

        Raises: UsageError for a URL that is not one, BadTopicError for the will's topic.
        """
        ...


class Broker(Protocol):
    """A broker that this node reaches clients and peers through."""

    @property
    def kind(self) -> str:
        """What runs: "mosquitto 2.0.11", "amqtt 0.12.1 (embedded)" or "external"."""
        ...

    @property
    def url(self) -> str:
        """`mqtt://host:port` at which this node itself connects."""
        ...

    @property
    def pid(self) -> int | None:
        """Its process, where it is one of this machine that this node started."""
        ...

    def start(self) -> None:
        """Run it and return when it accepts connections. Raises: BrokerError."""
        ...

    def is_alive(self) -> bool: ...

    def stop(self) -> None:
        """End it; harmless when called again. It may be started again."""
        ...
