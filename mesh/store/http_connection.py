"""One HTTP connection and its one request: a file of the store out, or a model in.

Errors are one JSON object `{"code", "message"}`. Sockets, threads and bounds belong to
`http_server` and `http_bounds`.
"""

import contextlib
import http.server
import io
import json
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Protocol, cast

from mesh.errors import IntegrityError, MeshError, StoreError
from mesh.ids import ModelId
from mesh.store.disk import CHUNK_BYTES, ModelStore
from mesh.store.http_bounds import BoundedReader, HeadTooLongError, HttpLimits
from mesh.store.http_request import (
    ByteRange,
    Collection,
    Resource,
    UnsatisfiableRangeError,
    parse_length,
    parse_path,
    parse_range,
)

_log = logging.getLogger("mesh.store")


class Host(Protocol):
    """What a connection needs of its server."""

    store: ModelStore
    limits: HttpLimits
    accept_uploads: bool


class _RefusedError(Exception):
    """A request that gets an error reply."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Connection(http.server.BaseHTTPRequestHandler):
    """Made by the server for each accepted socket."""

    protocol_version = "HTTP/1.1"
    server_version = "edge-mesh"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self._host = cast("Host", self.server)
        self._reader = BoundedReader(self.connection, self._host.limits)
        self._body = io.BufferedReader(self._reader)
        self.rfile = self._body
        self.requestline = ""  # http.server logs it, also when there was none

    def handle(self) -> None:
        try:
            self.handle_one_request()
        except HeadTooLongError:
            self.send_error(431, "The request's head is too long.")
        except OSError as error:  # the client went away
            _log.debug("connection of %s ended: %s", self.client_address[0], error)

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def handle_expect_100(self) -> bool:
        return True  # "100 Continue" is said in _receive, once the upload is acceptable

    def do_GET(self) -> None:
        self._answer(self._send_file)

    def do_HEAD(self) -> None:
        self._answer(self._send_file)

    def do_PUT(self) -> None:
        self._answer(self._take_upload)

    def _answer(self, serve: Callable[[Resource], None]) -> None:
        try:
            serve(_resource(self.path))
        except _RefusedError as error:
            self._refuse(error.status, error.code, str(error))
        except IntegrityError as error:
            self._refuse(422, error.code, str(error))
        except StoreError as error:
            self._refuse(507, error.code, str(error))
        except MeshError as error:
            self._refuse(500, error.code, str(error))

    def _send_file(self, resource: Resource) -> None:
        with self._open(resource) as file:
            whole = ByteRange(start=0, stop=file.seek(0, io.SEEK_END))
            if self.headers.get("If-None-Match") == _etag(resource):
                self._send_head(304, resource, {})
                return
            part = self._part(whole.stop)
            about = {"Content-Length": str(len(part or whole)), "Accept-Ranges": "bytes"}
            if part is not None:
                about["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{whole.stop}"
            self._send_head(206 if part else 200, resource, about)
            if self.command == "GET":
                self._send_bytes(file, part or whole)

    def _open(self, resource: Resource) -> BinaryIO:
        store = self._host.store
        is_golden = resource.collection is Collection.GOLDEN
        path = (store.golden_path if is_golden else store.model_path)(resource.model_id)
        try:
            return path.open("rb")
        except OSError:
            raise _RefusedError(404, "NOT_FOUND", "This node does not have that file.") from None

    def _part(self, size_bytes: int) -> ByteRange | None:
        try:
            return parse_range(self.headers.get("Range"), size_bytes)
        except UnsatisfiableRangeError:
            raise _RefusedError(416, "BAD_RANGE", f"The file has {size_bytes} bytes.") from None

    def _send_bytes(self, file: BinaryIO, part: ByteRange) -> None:
        """Send in chunks, each of which must leave within the time of silence."""
        file.seek(part.start)
        left_bytes = len(part)
        self.connection.settimeout(self._host.limits.silence_s)
        while left_bytes > 0 and (chunk := file.read(min(left_bytes, CHUNK_BYTES // 4))):
            self.wfile.write(chunk)
            left_bytes -= len(chunk)

    def _take_upload(self, resource: Resource) -> None:
        store = self._host.store
        if resource.collection is not Collection.MODELS or not self._host.accept_uploads:
            raise _RefusedError(405, "NOT_ALLOWED", "This node takes no uploads there.")
        size_bytes = parse_length(self.headers.get("Content-Length"))
        if size_bytes is None or "Transfer-Encoding" in self.headers:
            raise _RefusedError(411, "LENGTH_REQUIRED", "Send the Content-Length, not chunks.")
        if not 0 < size_bytes <= store.max_model_bytes:
            message = f"A model has 1 to {store.max_model_bytes} bytes here (max_model_bytes)."
            raise _RefusedError(413, "TOO_LARGE", message)
        if not store.has(resource.model_id):
            self._receive(resource.model_id, size_bytes)
            _log.info("model %.12s uploaded: %d bytes", resource.model_id, size_bytes)
        self._send_json(201, {"model_id": resource.model_id})

    def _receive(self, model_id: ModelId, size_bytes: int) -> None:
        store = self._host.store
        with store.receive(size_bytes) as incoming:
            if self.headers.get("Expect", "").lower() == "100-continue":
                self.send_response_only(100)
                self.end_headers()
            for chunk in self._body_chunks(size_bytes):
                incoming.write(chunk)
            if incoming.size_bytes != size_bytes:
                raise _RefusedError(400, "TRUNCATED", "The upload ended early: send it again.")
            store.keep(incoming, model_id)

    def _body_chunks(self, size_bytes: int) -> Iterator[bytes]:
        self._reader.begin_body(size_bytes)
        left_bytes = size_bytes
        while left_bytes > 0 and (chunk := self._body.read1(min(left_bytes, CHUNK_BYTES))):
            left_bytes -= len(chunk)
            yield chunk

    def _send_head(self, status: int, resource: Resource, about: dict[str, str]) -> None:
        fixed = {"ETag": _etag(resource), "Content-Type": "application/octet-stream"}
        self._send_headers(status, fixed | about)

    def _send_json(self, status: int, content: dict[str, str]) -> None:
        body = json.dumps(content).encode()
        about = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        if status == 405:
            about["Allow"] = "GET, HEAD, PUT"
        self._send_headers(status, about)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_headers(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send_json(status, {"code": code, "message": message})
        if self.command == "PUT":
            self._linger()

    def _linger(self) -> None:
        """Closing with unread bytes resets the connection, and the client would not see the reply."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            for _ in self._body_chunks(self._host.limits.lingering_bytes):
                pass

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server itself refuses: broken syntax, other methods, endless lines."""
        self.close_connection = True
        self.command = getattr(self, "command", None) or "GET"
        self.request_version = self.protocol_version  # else it answers as HTTP/0.9, without a head
        if code == 501:
            self._refuse(405, "NOT_ALLOWED", "Only GET, HEAD and PUT are served.")
        else:
            self._refuse(code, "BAD_REQUEST", explain or message or "The request is not HTTP.")
        self._linger()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (http.server's name)
        """Log as text that cannot steer a terminal."""
        text = (format % args).encode("unicode_escape").decode()
        _log.debug("%s %.200s", self.client_address[0], text)


def _resource(path: str) -> Resource:
    resource = parse_path(path)
    if resource is None:
        raise _RefusedError(404, "NOT_FOUND", "Only /models/<id> and /golden/<id> are here.")
    return resource


def _etag(resource: Resource) -> str:
    return f'"{resource.model_id}"'
