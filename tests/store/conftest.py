import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mesh.store.disk import ModelStore

PeerMaker = Callable[["Behaviour"], str]
Behaviour = Callable[[socket.socket, int, int], None]


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store", max_model_bytes=1 << 20)


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=5)
        assert not thread.is_alive(), f"{thread} is left"


def asked_range(head: bytes) -> tuple[int, int]:
    match = re.search(rb"Range: bytes=(\d+)-(\d+)", head)
    assert match is not None
    return int(match[1]), int(match[2]) + 1


@pytest.fixture
def odd_peer() -> Iterator[PeerMaker]:
    """Makes peers that answer a GET of bytes [start, stop) on a raw socket as a behaviour says."""
    listeners: list[socket.socket] = []
    open_sockets: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket, behaviour: Behaviour) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                chunk = connection.recv(4096)
                if not chunk:
                    return
                head += chunk
            behaviour(connection, *asked_range(head))

    def accept(listener: socket.socket, behaviour: Behaviour) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                open_sockets.append(connection)
                thread = threading.Thread(target=serve, args=(connection, behaviour))
                threads.append(thread)
                thread.start()

    def make(behaviour: Behaviour) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        thread = threading.Thread(target=accept, args=(listener, behaviour))
        threads.append(thread)
        thread.start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield make
    for one in (*listeners, *open_sockets):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
    for thread in threads:
        thread.join(timeout=5)
