"""Mapping to paho, with paho's own packing as the oracle of sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from mesh.errors import BadTopicError, TooLargeError
from mesh.transport.paho_packets import (
    MAX_USER_PROPERTIES,
    packet_bytes,
    publish_properties,
    received,
)
from mesh.transport.port import Message

FULL = Message(
    topic="a/b",
    payload=b"x",
    qos=1,
    response_topic="r",
    correlation_data=b"\x00",
    content_type="text/plain",
    expiry_s=1.2,
    user_properties=(("a", "1"), ("b", "")),
)


class Wire(Client):
    """paho that keeps what it would send."""

    def size_of(self, message: Message, properties: Properties | None) -> int:
        sizes: list[int] = []

        def keep(_command: int, packet: bytearray, *_: object) -> int:
            sizes.append(len(packet))
            return 0

        self._sock = object()  # type: ignore[assignment]
        self._packet_queue = keep  # type: ignore[assignment, method-assign]
        self._send_publish(
            1, message.topic.encode(), message.payload, message.qos, False, False, None, properties
        )
        self._sock = None
        return sizes[0]


@given(
    st.sampled_from([0, 1, 100, 117, 118, 125, 126, 127, 128, 16_380, 16_384, 2_097_160]),
    st.sampled_from([0, 1]),
    st.booleans(),
    st.booleans(),
)
def test_sizes_are_what_paho_sends(length: int, qos: int, v5: bool, with_properties: bool) -> None:
    message = Message(
        topic="a/ü", payload=bytes(length), qos=qos, response_topic="r" if with_properties else None
    )
    properties = publish_properties(message)
    protocol = MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311
    wire = Wire(CallbackAPIVersion.VERSION2, protocol=protocol)
    assert packet_bytes(message, properties, v5=v5) == wire.size_of(message, properties)


def test_properties_come_back() -> None:
    properties = publish_properties(FULL)
    came = MQTTMessage(1, b"a/b")
    came.payload, came.qos, came.properties = b"x", 1, properties
    got = received(came)
    assert (got.response_topic, got.correlation_data, got.content_type) == (
        "r",
        b"\0",
        "text/plain",
    )
    assert got.expiry_s == 2.0, "whole seconds, rounded up"
    assert got.user_properties == (("a", "1"), ("b", ""))


def test_more_user_properties_than_anybody_needs_are_not_looked_at() -> None:
    many = tuple((str(number), "") for number in range(MAX_USER_PROPERTIES + 1))
    came = MQTTMessage(1, b"a")
    came.properties = publish_properties(Message(topic="a", payload=b"", user_properties=many))
    assert received(came).user_properties == many[:MAX_USER_PROPERTIES]


def test_a_message_without_properties_has_none() -> None:
    assert publish_properties(Message(topic="a", payload=b"")) is None
    bare = MQTTMessage(1, b"a")
    assert received(bare) == Message(topic="a", payload=b"")


@pytest.mark.parametrize(("expiry_s", "sent"), [(0.0, 1), (0.1, 1), (2.0, 2), (1e12, 2**32 - 1)])
def test_expiry_fits_its_field(expiry_s: float, sent: int) -> None:
    properties = publish_properties(Message(topic="a", payload=b"", expiry_s=expiry_s))
    assert getattr(properties, "MessageExpiryInterval", None) == sent


def test_properties_are_bounded() -> None:
    with pytest.raises(TooLargeError):
        publish_properties(Message(topic="a", payload=b"", correlation_data=bytes(65536)))
    with pytest.raises(TooLargeError):
        publish_properties(Message(topic="a", payload=b"", content_type="x" * 300))
    with pytest.raises(BadTopicError):
        publish_properties(Message(topic="a", payload=b"", response_topic="a/#"))


def test_a_will_has_the_same_properties() -> None:
    assert publish_properties(FULL, PacketTypes.WILLMESSAGE) is not None


def test_a_topic_that_is_not_text() -> None:
    with pytest.raises(UnicodeDecodeError):
        received(MQTTMessage(1, b"\xff"))
