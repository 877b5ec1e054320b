import socket

import pytest

from mesh.errors import BrokerError
from mesh.transport.ports import FALLBACK_PORTS, check_free, free_port, is_free, own_host

LOCAL = "127.0.0.1"


def test_the_preferred_port_is_taken_when_free() -> None:
    with socket.create_server((LOCAL, 0)) as listener:
        port: int = listener.getsockname()[1]
    assert free_port(LOCAL, port) == port


def test_another_one_when_it_is_in_use() -> None:
    with socket.create_server((LOCAL, 0)) as listener:
        port: int = listener.getsockname()[1]
        assert free_port(LOCAL, port) in FALLBACK_PORTS
        assert not is_free(LOCAL, port)
        assert not is_free("", port)
        with pytest.raises(BrokerError, match=str(port)):
            check_free(LOCAL, port)


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(BrokerError, match=r"192\.0\.2\.250"):
        free_port("192.0.2.250", 18830)


@pytest.mark.parametrize(
    ("bind", "host"),
    [("", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("192.0.2.1", "192.0.2.1")],
)
def test_how_this_machine_reaches_its_own_listener(bind: str, host: str) -> None:
    assert own_host(bind) == host
