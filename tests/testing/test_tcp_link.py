import socket
from collections.abc import Iterator

import pytest

from mesh.testing.tcp_link import TcpLink

LOCAL = "127.0.0.1"


@pytest.fixture
def far() -> Iterator[socket.socket]:
    with socket.create_server((LOCAL, 0)) as listener:
        listener.settimeout(10)
        yield listener


def test_it_passes_both_ways_stalls_and_breaks(far: socket.socket) -> None:
    link = TcpLink(far.getsockname()[1])
    with socket.create_connection((LOCAL, link.port), timeout=10) as near:
        other, _ = far.accept()
        near.sendall(b"there")
        assert other.recv(10) == b"there"
        other.sendall(b"back")
        assert near.recv(10) == b"back"
        link.stall()
        near.sendall(b"held")
        other.settimeout(0.05)
        with pytest.raises(TimeoutError):
            other.recv(10)
        link.cut()
        assert near.recv(10) == b""
        other.close()
    link.close()


def test_nobody_at_the_far_end(far: socket.socket) -> None:
    link = TcpLink(far.getsockname()[1])
    far.close()
    with socket.create_connection((LOCAL, link.port), timeout=10) as near:
        assert near.recv(10) == b""
    link.close()
