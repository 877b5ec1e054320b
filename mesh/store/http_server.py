"""Runs the store's HTTP server: accepts a bounded number of connections, a thread each, and stops."""

import contextlib
import json
import logging
import socket
import socketserver
import threading
from typing import Any

from mesh.errors import StoreError
from mesh.store.disk import ModelStore
from mesh.store.http_bounds import HttpLimits
from mesh.store.http_connection import Connection

_log = logging.getLogger("mesh.store")

_BUSY = json.dumps({"code": "OVERLOADED", "message": "Too many connections: try again."}).encode()
_BUSY_REPLY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(_BUSY), _BUSY)
)


class StoreServer:
    """Serves one store from `start` to `close`."""

    def __init__(
        self,
        store: ModelStore,
        *,
        bind: str = "",
        port: int = 0,
        limits: HttpLimits | None = None,
        accept_uploads: bool = True,
    ) -> None:
        """Open the port (0 = any free one; `bind` empty = every interface). Raises: StoreError."""
        try:
            self._server = _Server(bind, port, store, limits or HttpLimits(), accept_uploads)
        except OSError as error:
            raise StoreError(
                f"Port {port} for model files cannot be opened: {error.strerror or error}; choose another"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="mesh-store-http", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop accepting, cut the connections that are open, wait for their threads."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.cut_connections()
        self._server.server_close()


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 64
    daemon_threads = False  # server_close waits for them

    def __init__(
        self, bind: str, port: int, store: ModelStore, limits: HttpLimits, accept_uploads: bool
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self.store = store
        self.limits = limits
        self.accept_uploads = accept_uploads
        self._slots = threading.BoundedSemaphore(limits.connections)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((bind, port), Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.settimeout(0.0)
                request.send(_BUSY_REPLY)
            self.shutdown_request(request)
            return
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.discard(request)
            self._slots.release()

    def cut_connections(self) -> None:
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """An unforeseen error ends that connection only."""
        _log.exception("serving %s failed", client_address[0])
