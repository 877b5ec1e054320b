"""What every bus and broker pair holds to: the fake, mosquitto, a narrow mosquitto, amqtt."""

from collections.abc import Callable

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from mesh.errors import BadTopicError, NotConnectedError, OverloadedError, TooLargeError, UsageError
from mesh.testing.bus import MemoryNetwork
from mesh.transport.port import Bus, Connected, Disconnected, Message

Connect = Callable[..., tuple[Bus, "Recorder"]]
FENCE = "test/fence"


def settle(bus: Bus, recorder: "Recorder") -> list[Message]:
    """Return all messages that came before one sent now, through the same broker, to oneself."""
    before = len([m for m in recorder.messages if m.topic == FENCE])
    bus.subscribe(FENCE, qos=0)
    bus.publish(Message(topic=FENCE, payload=b""))
    recorder.wait_for(Message, len(recorder.messages) + 1 if before else 1)
    while len([m for m in recorder.messages if m.topic == FENCE]) <= before:
        recorder.wait_for(Message, len(recorder.messages) + 1)
    return [m for m in recorder.messages if m.topic != FENCE]
