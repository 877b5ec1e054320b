"""Our messages as paho's and back, and the size they have on the wire; nothing is sent here."""

import math

from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from mesh.errors import TooLargeError
from mesh.transport.filters import check_topic
from mesh.transport.port import Message

MAX_PACKET_BYTES = 268_435_455  # the largest that may be announced (§3.1.2.11.4)
MAX_CORRELATION_BYTES = 65_535  # all that MQTT 5 allows (§1.5.6): a reply brings back what came
MAX_CONTENT_TYPE_CHARS = 256
MAX_USER_PROPERTIES = 64  # those behind them are not looked at
_MAX_EXPIRY_S = 2**32 - 1


def publish_properties(
    message: Message, packet_type: int = PacketTypes.PUBLISH
) -> Properties | None:
    """Return the MQTT 5 properties of a message or will; None when it has none.

    Raises: BadTopicError, TooLargeError.
    """
    properties = Properties(packet_type)  # type: ignore[no-untyped-call]
    if message.response_topic is not None:
        check_topic(message.response_topic)
        properties.ResponseTopic = message.response_topic
    if message.correlation_data is not None:
        _check_length("correlation data", len(message.correlation_data), MAX_CORRELATION_BYTES)
        properties.CorrelationData = message.correlation_data
    if message.content_type is not None:
        _check_length("content type", len(message.content_type), MAX_CONTENT_TYPE_CHARS)
        properties.ContentType = message.content_type
    for pair in message.user_properties:
        properties.UserProperty = pair
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = _whole_seconds(message.expiry_s)
    return None if properties.isEmpty() else properties  # type: ignore[no-untyped-call]


def connect_properties(*, max_packet_bytes: int) -> Properties:
    """Ask a v5 broker to keep larger packets from us (§3.1.2.11.4)."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = max_packet_bytes
    return properties


def packet_bytes(message: Message, properties: Properties | None, *, v5: bool) -> int:
    """Return the size of the PUBLISH as sent (§3.3)."""
    remaining = 2 + len(message.topic.encode()) + len(message.payload)
    remaining += 2 if message.qos else 0
    if v5:
        packed = properties.pack() if properties else b"\0"  # type: ignore[no-untyped-call]
        remaining += len(packed)
    length_digits = max(1, math.ceil(remaining.bit_length() / 7))  # §1.5.5: seven bits a byte
    return 1 + length_digits + remaining


def received(message: MQTTMessage) -> Message:
    """Raises: UnicodeDecodeError when the topic is not UTF-8."""
    properties = message.properties
    expiry_s = getattr(properties, "MessageExpiryInterval", None)
    return Message(
        topic=message.topic,
        payload=bytes(message.payload),  # no copy when it is bytes already
        qos=message.qos,
        retain=message.retain,
        duplicate=message.dup,
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation_data=getattr(properties, "CorrelationData", None),
        content_type=getattr(properties, "ContentType", None),
        expiry_s=None if expiry_s is None else float(expiry_s),
        user_properties=tuple(getattr(properties, "UserProperty", ())[:MAX_USER_PROPERTIES]),
    )


def _check_length(what: str, length: int, limit: int) -> None:
    if length > limit:
        raise TooLargeError(f"the {what} has length {length}: at most {limit} is sent")


def _whole_seconds(expiry_s: float) -> int:
    return min(max(1, math.ceil(expiry_s)), _MAX_EXPIRY_S)
