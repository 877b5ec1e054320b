import importlib.metadata

import pytest

from mesh.errors import BrokerError
from mesh.transport.embedded import EmbeddedBroker, amqtt_version
from mesh.transport.ports import free_port

LOCAL = "127.0.0.1"
needs_amqtt = pytest.mark.skipif(amqtt_version() is None, reason="amqtt is not installed")


@needs_amqtt
@pytest.mark.real
def test_it_runs_until_it_is_stopped_and_can_start_again() -> None:
    broker = EmbeddedBroker(port=free_port(LOCAL, 18830), bind=LOCAL)
    for _ in range(2):
        broker.start()
        assert broker.is_alive()
        assert broker.kind.endswith("(embedded)")
        broker.stop()
        assert not broker.is_alive()


def test_without_amqtt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(BrokerError, match=r"apt install mosquitto.*embedded-broker.*--broker"):
        EmbeddedBroker(port=18830).start()
