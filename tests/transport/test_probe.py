import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from mesh.errors import BrokerError
from mesh.fleet.broker_url import BrokerUrl
from mesh.transport.probe import probe


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def ask(listener: socket.socket, answer: bytes) -> bytes:
    """Probe a listener that gives one answer; return what it was sent."""
    heard: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            heard.append(connection.recv(100))
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)
            heard.append(connection.recv(100))

    server = Thread(target=serve)
    server.start()
    try:
        probe(BrokerUrl(host="127.0.0.1", port=listener.getsockname()[1]), timeout_s=5)
    finally:
        server.join()
    return heard[0]


def test_a_broker_that_accepts(listener: socket.socket) -> None:
    asked = ask(listener, b"\x20\x02\x00\x00")
    assert asked[1] == len(asked) - 2, "the remaining length of the CONNECT is right"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"\x20\x02\x00\x05", "no anonymous"),
        (b"\x20\x02\x00\x01", r"3\.1\.1"),
        (b"\x20\x02\x00\x63", "code 99"),
        (b"HTTP/1.1 400", "no MQTT broker"),
        (b"\x20", "no MQTT broker"),
        (b"", "no MQTT broker"),
    ],
)
def test_everything_else_is_explained(listener: socket.socket, answer: bytes, why: str) -> None:
    with pytest.raises(BrokerError, match=why):
        ask(listener, answer)


def test_nobody_listens(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(BrokerError, match="no broker can be reached"):
        probe(BrokerUrl(host="127.0.0.1", port=port), timeout_s=1)


def test_a_silent_listener_times_out(listener: socket.socket) -> None:
    with pytest.raises(BrokerError, match="timed out"):
        probe(BrokerUrl(host="127.0.0.1", port=listener.getsockname()[1]), timeout_s=0.05)
