"""A TCP link on this machine that stalls and breaks on command; it knows nothing of what flows."""

import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread

_LOCAL = "127.0.0.1"


class TcpLink:
    """Listens at `port` and passes bytes on to `to_port`."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._listener = socket.create_server((_LOCAL, 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads: list[Thread] = []
        self._flowing = Event()
        self._flowing.set()
        self._lock = Lock()
        self._spawn(self._accept)

    def stall(self) -> None:
        self._flowing.clear()

    def cut(self) -> None:
        """Break every connection, without a word to either side's MQTT."""
        with self._lock:
            broken, self._sockets = self._sockets, []
        for one in broken:
            _break(one)
        self._flowing.set()

    def close(self) -> None:
        _break(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def _spawn(self, target: Callable[..., None], *arguments: socket.socket) -> None:
        thread = Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._join(near)

    def _join(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection((_LOCAL, self._to_port))
        except OSError:
            near.close()
            return
        with self._lock:
            self._sockets += [near, far]
        self._spawn(self._pump, near, far)
        self._spawn(self._pump, far, near)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._flowing.wait()
                sink.sendall(data)
        _break(source)
        _break(sink)


def _break(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
