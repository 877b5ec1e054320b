"""One connection: how far it gets, what it learns from the broker, how its socket is set."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread

import pytest

from mesh.errors import TooLargeError
from mesh.fleet.broker_url import BrokerUrl
from mesh.testing.recorder import Recorder
from mesh.transport.paho_connection import End, PahoConnection, Settings, _tune_socket
from mesh.transport.port import Message

LOCAL = "127.0.0.1"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((LOCAL, 0)) as listening:
        yield listening


def connection(port: int, accepted: Recorder[PahoConnection]) -> PahoConnection:
    settings = Settings(
        url=BrokerUrl(host=LOCAL, port=port),
        client_id="a",
        will=None,
        max_packet_bytes=1 << 20,
        max_waiting_bytes=1 << 20,
        v5_accept_timeout_s=0.2,
    )
    return PahoConnection(
        settings, v5=True, in_flight=10, on_accepted=accepted, on_message=Recorder[Message]()
    )


def answer(listener: socket.socket, connack: bytes) -> Thread:
    """Answer one CONNECT and read until the client leaves."""

    def serve() -> None:
        client, _ = listener.accept()
        with client, suppress(OSError):
            client.recv(1000)
            client.sendall(connack)
            while client.recv(1000):
                pass

    thread = Thread(target=serve)
    thread.start()
    return thread


def test_nobody_there(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    lonely = connection(port, Recorder[PahoConnection]())
    assert lonely.run() is End.UNREACHABLE
    assert "refused" in lonely.reason


def test_a_listener_that_does_not_answer(listener: socket.socket) -> None:
    waiting = connection(listener.getsockname()[1], Recorder[PahoConnection]())
    assert waiting.run() is End.REFUSED
    assert waiting.reason == "it does not answer MQTT"


def test_the_brokers_limits_are_obeyed(listener: socket.socket) -> None:
    # CONNACK with Receive Maximum 3 and Maximum Packet Size 100 (§3.2.2.3).
    server = answer(listener, b"\x20\x0b\x00\x00\x08\x21\x00\x03\x27\x00\x00\x00\x64")
    accepted = Recorder[PahoConnection]()
    limited = connection(listener.getsockname()[1], accepted)
    running = Thread(target=limited.run)
    running.start()
    accepted.wait_for(PahoConnection)
    assert limited.in_flight == 3
    with pytest.raises(TooLargeError, match="takes at most 100"):
        limited.publish(Message(topic="t", payload=bytes(100)))
    limited.publish(Message(topic="t", payload=bytes(90)))
    limited.end()
    running.join(5)
    server.join(5)


def test_sockets_do_not_wait_and_notice_silence(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()) as opened:
        _tune_socket(None, None, opened)  # type: ignore[arg-type]
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3000
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
