"""Which broker this node uses: the given one, else mosquitto, else amqtt; starting it is the caller's."""

from mesh.errors import BrokerError
from mesh.fleet.broker_url import DEFAULT_PORT
from mesh.transport.embedded import EmbeddedBroker, amqtt_version, no_broker_message
from mesh.transport.external import ExternalBroker
from mesh.transport.mosquitto import MAX_PACKET_BYTES, MosquittoBroker, find_mosquitto
from mesh.transport.port import Broker
from mesh.transport.ports import free_port


def choose_broker(
    *,
    wish: str = "",
    bind: str = "",
    port: int = 0,
    max_packet_bytes: int = MAX_PACKET_BYTES,
) -> Broker:
    """`wish` is "mosquitto", "embedded", an URL, or empty; port 0 is 1883 or the next free one.

    Raises: BrokerError, UsageError for a bad URL.
    """
    if wish not in {"", "mosquitto", "embedded"}:
        return ExternalBroker(wish)
    mosquitto = None if wish == "embedded" else find_mosquitto()
    if mosquitto is None and (wish == "mosquitto" or amqtt_version() is None):
        raise BrokerError(no_broker_message())
    port = port or free_port(bind, DEFAULT_PORT)
    if mosquitto is not None:
        return MosquittoBroker(mosquitto, port=port, bind=bind, max_packet_bytes=max_packet_bytes)
    return EmbeddedBroker(port=port, bind=bind)
