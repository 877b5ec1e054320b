import contextlib
import http.client
import socket
from collections.abc import Iterator

import pytest

from mesh.errors import StoreError
from mesh.store.disk import ModelStore
from mesh.store.http_bounds import HttpLimits
from mesh.store.http_server import StoreServer

LIMITS = HttpLimits(connections=2, head_s=0.5, silence_s=0.5)


@pytest.fixture
def server(store: ModelStore) -> Iterator[StoreServer]:
    server = StoreServer(store, bind="127.0.0.1", limits=LIMITS)
    server.start()
    yield server
    server.close()


def connect(server: StoreServer) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    connection.settimeout(5)
    return connection


def test_connections_are_bounded_and_free_again_afterwards(server: StoreServer) -> None:
    with connect(server), connect(server), connect(server) as third:
        reply = third.recv(4096)
        assert reply.startswith(b"HTTP/1.1 503 ")
        assert b'"OVERLOADED"' in reply
    status = 503
    while status == 503:  # the two threads need a moment to see their clients go
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("GET", "/")
        status = connection.getresponse().status
        connection.close()
    assert status == 404


def test_a_slow_loris_is_cut(server: StoreServer) -> None:
    with connect(server) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert slow.recv(100) == b""


def test_closing_cuts_open_connections(store: ModelStore) -> None:
    server = StoreServer(store, bind="127.0.0.1", limits=HttpLimits(head_s=60))
    server.start()
    with connect(server) as idle:
        idle.sendall(b"GET ")
        server.close()
        with contextlib.suppress(ConnectionResetError):  # when it had not yet been accepted
            assert idle.recv(100) == b""


def test_a_server_that_never_started_can_be_closed(store: ModelStore) -> None:
    StoreServer(store, bind="127.0.0.1").close()


def test_a_taken_port_is_said(server: StoreServer, store: ModelStore) -> None:
    with pytest.raises(StoreError, match=str(server.port)):
        StoreServer(store, bind="127.0.0.1", port=server.port)
