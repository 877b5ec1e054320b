"""The real things behind the ports of a node, chosen by its configuration."""

from dataclasses import dataclass

from mesh.config import Config
from mesh.device.board import Board
from mesh.errors import BrokerError
from mesh.fleet.discovery import Discovery
from mesh.fleet.mdns import MdnsDiscovery
from mesh.runtime.detect import detect_runtime
from mesh.runtime.port import Runtime
from mesh.transport.choose import choose_broker
from mesh.transport.paho_bus import PahoConnector
from mesh.transport.port import Broker, BusConnector

PORT_ATTEMPTS = 5
FRAME_OVERHEAD_BYTES = 64 << 10
"""What a message may have beside the tensors: header, properties, JSON around them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """The real things, or fakes of them."""

    broker: Broker
    connector: BusConnector
    runtime: Runtime
    discovery: Discovery | None
    board: Board


def real_adapters(config: Config) -> Adapters:
    """What a node on a board uses. Raises: DeviceError, BrokerError, UsageError."""
    return Adapters(
        broker=_started_broker(config),
        connector=PahoConnector(max_packet_bytes=max_message_bytes(config)),
        runtime=detect_runtime(
            config.runtime,
            memory_bytes=config.memory_bytes,
            versions_folder=config.measurements_path,
        ),
        discovery=MdnsDiscovery(interfaces=config.mdns_interfaces) if config.mdns else None,
        board=Board(),
    )


def _started_broker(config: Config) -> Broker:
    """The broker, running. A port that was found free may be taken by another meanwhile: then again."""
    attempts = 1 if config.mqtt_port or config.broker_url else PORT_ATTEMPTS
    for attempt in range(attempts):
        broker = choose_broker(
            wish=config.broker,
            bind=config.bind,
            port=config.mqtt_port,
            max_packet_bytes=max_message_bytes(config),
        )
        try:
            broker.start()
        except BrokerError:
            if attempt == attempts - 1:
                raise
            continue
        return broker
    raise BrokerError("no broker could be started")


def max_message_bytes(config: Config) -> int:
    return config.max_payload_bytes + FRAME_OVERHEAD_BYTES
