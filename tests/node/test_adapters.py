import pytest

from mesh.config import Config
from mesh.errors import BrokerError, UsageError
from mesh.node.adapters import FRAME_OVERHEAD_BYTES, max_message_bytes, real_adapters
from mesh.transport.ports import free_port


def test_a_message_has_room_for_more_than_its_tensors() -> None:
    config = Config(max_payload_bytes=1000)
    assert max_message_bytes(config) == 1000 + FRAME_OVERHEAD_BYTES


def test_a_broker_that_is_not_there_is_told() -> None:
    nobody = f"mqtt://127.0.0.1:{free_port('127.0.0.1', 18899)}"
    with pytest.raises(BrokerError, match="no broker can be reached"):
        real_adapters(Config(broker=nobody, mdns=False))


def test_a_bad_url_is_told() -> None:
    with pytest.raises(UsageError, match="mqtt://HOST:PORT"):
        real_adapters(Config(broker="http://a", mdns=False))


@pytest.mark.real
def test_the_real_things_are_made() -> None:
    adapters = real_adapters(Config(bind="127.0.0.1", mdns=False))
    try:
        assert adapters.broker.is_alive()
        assert adapters.broker.url.startswith("mqtt://127.0.0.1:")
        assert adapters.discovery is None
        assert adapters.runtime.info().kernel_class
        assert adapters.board.facts().cores >= 1
    finally:
        adapters.broker.stop()
