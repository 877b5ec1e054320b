import pytest

from mesh.errors import BrokerError, UsageError
from mesh.transport.external import ExternalBroker
from mesh.transport.mosquitto import MosquittoBroker, find_mosquitto
from mesh.transport.ports import free_port

LOCAL = "127.0.0.1"


@pytest.mark.real
def test_it_is_reached_but_never_stopped() -> None:
    program = find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed")
    running = MosquittoBroker(program, port=free_port(LOCAL, 18830), bind=LOCAL)
    running.start()
    external = ExternalBroker(running.url)
    external.start()
    external.stop()
    assert external.is_alive()
    assert (external.kind, external.url) == ("external", running.url)
    running.stop()
    assert not external.is_alive()


def test_an_unreachable_one_is_an_error() -> None:
    with pytest.raises(BrokerError, match="no broker can be reached"):
        ExternalBroker(f"mqtt://{LOCAL}:{free_port(LOCAL, 18899)}").start()


def test_a_bad_url_is_an_error() -> None:
    with pytest.raises(UsageError):
        ExternalBroker("localhost")
