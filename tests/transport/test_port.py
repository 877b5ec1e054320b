"""The adapters and the fakes are what the ports ask for: mypy checks it, this only names the pairs."""

from mesh.testing.bus import MemoryBroker, MemoryBus, MemoryNetwork
from mesh.transport.embedded import EmbeddedBroker
from mesh.transport.external import ExternalBroker
from mesh.transport.mosquitto import MosquittoBroker
from mesh.transport.paho_bus import PahoBus, PahoConnector
from mesh.transport.port import Broker, Bus, BusConnector, Message

BUSES: list[type[Bus]] = [PahoBus, MemoryBus]
CONNECTORS: list[type[BusConnector]] = [PahoConnector, MemoryNetwork]
BROKERS: list[type[Broker]] = [MosquittoBroker, EmbeddedBroker, ExternalBroker, MemoryBroker]


def test_a_message_is_plain_unless_said_otherwise() -> None:
    message = Message(topic="t", payload=b"")
    assert (message.qos, message.retain, message.duplicate) == (0, False, False)
    assert message.response_topic is None
    assert message.correlation_data is None
