"""Asks other nodes' stores over HTTP: one request a connection, every answer bounded and checked.

Any trouble is a `PeerError` that says what the peer did; which peer to ask next is decided in
`fetch`.
"""

import contextlib
import http.client
import io
import json
import re
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from mesh.errors import IntegrityError, StoreError, UsageError
from mesh.ids import ModelId
from mesh.store.disk import CHUNK_BYTES, Progress, hash_file, no_progress
from mesh.store.http_request import ByteRange, Collection, Resource
from mesh.store.incoming import mapped_os_errors

_CONTINUE = b"HTTP/1.1 100"
_CONTINUE_WAIT_S = 2.0  # RFC 9110, section 10.1.1: don't wait for "100 Continue" indefinitely
_MAX_ERROR_BYTES = 4096
_SMALL_CHUNK_BYTES = 64 << 10


class PeerError(Exception):
    """A peer failed; `is_final` when asking it again is pointless."""

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


def check_url(url: str) -> tuple[str, int]:
    """Return host and port of `http://host:port`. Raises: UsageError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    plain = re.fullmatch(r"http://[^/?#@\s]+/?", url) is not None
    if not plain or not host or not port:
        raise UsageError(f"{url!r:.100} is no address of a node's files: http://host:port is")
    return host, port


class Download:
    """One GET of a part of a file; another thread may cut it."""

    def __init__(self, url: str, resource: Resource, *, silence_s: float) -> None:
        self._url = url
        self._resource = resource
        self._silence_s = silence_s
        self._sock: socket.socket | None = None
        self._is_cut = False

    def read(self, part: ByteRange, file_bytes: int) -> Iterator[bytes]:
        """Yield exactly the bytes of `part` of a file of this size. Raises: PeerError."""
        try:
            connection = http.client.HTTPConnection(*check_url(self._url), timeout=self._silence_s)
        except UsageError as error:
            raise PeerError(str(error), is_final=True) from error
        try:
            response = self._ask(connection, part)
            _check_reply(response, part, file_bytes)
            yield from _exactly(len(part), response)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = "it was too slow" if self._is_cut else _reason(error)
            raise PeerError(reason) from error
        finally:
            connection.close()

    def cut(self) -> None:
        """End it now: its reader gets a PeerError."""
        self._is_cut = True
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def _ask(
        self, connection: http.client.HTTPConnection, part: ByteRange
    ) -> http.client.HTTPResponse:
        connection.connect()
        self._sock = connection.sock  # the connection forgets it when the reply will close it
        if self._is_cut:
            raise PeerError("it was too slow")
        headers = {"Range": f"bytes={part.start}-{part.stop - 1}", "Connection": "close"}
        connection.request("GET", self._resource.path, headers=headers)
        return connection.getresponse()


def _exactly(size_bytes: int, response: http.client.HTTPResponse) -> Iterator[bytes]:
    left_bytes = size_bytes
    while left_bytes > 0:
        chunk = response.read(min(left_bytes, _SMALL_CHUNK_BYTES))
        if not chunk:
            raise PeerError(f"it ended {left_bytes} bytes early")
        left_bytes -= len(chunk)
        yield chunk


def _check_reply(response: http.client.HTTPResponse, part: ByteRange, file_bytes: int) -> None:
    is_whole = len(part) == file_bytes
    if response.status == 404:
        raise PeerError("it does not have the file", is_final=True)
    if response.status != 206 and not (response.status == 200 and is_whole):
        raise PeerError(f"it answered with HTTP status {response.status}")
    if response.getheader("Content-Length") != str(len(part)):
        raise PeerError("it has a file of another size", is_final=True)
    span = f"bytes {part.start}-{part.stop - 1}/{file_bytes}"
    if response.status == 206 and response.getheader("Content-Range") != span:
        raise PeerError("it answered with another range", is_final=True)


def ask_size_bytes(url: str, resource: Resource, *, silence_s: float = 5.0) -> int:
    """Ask how large a node's file is. Raises: PeerError when it has none."""
    try:
        connection = http.client.HTTPConnection(*check_url(url), timeout=silence_s)
        with contextlib.closing(connection):
            connection.request("HEAD", resource.path, headers={"Connection": "close"})
            response = connection.getresponse()
            if response.status != 200:
                raise PeerError(f"it answered with HTTP status {response.status}", is_final=True)
            return int(response.getheader("Content-Length") or "")
    except (OSError, http.client.HTTPException, ValueError, UsageError) as error:
        raise PeerError(_reason(error)) from error


def upload(
    url: str, path: Path, on_progress: Progress = no_progress, *, silence_s: float = 30.0
) -> ModelId:
    """Send a model file to a node and return its content id. Raises: StoreError, UsageError."""
    connection = http.client.HTTPConnection(*check_url(url), timeout=silence_s)
    model_id = hash_file(path)
    resource = Resource(collection=Collection.MODELS, model_id=model_id)
    with mapped_os_errors(f"Reading {path}"):
        file = path.open("rb")
    with contextlib.closing(connection), file:
        try:
            _send(connection, resource, file, on_progress)
            _check_upload(connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            raise StoreError(
                f"Uploading to {url} failed: {_reason(error)}; is the node running?"
            ) from error
    return model_id


def _reason(error: Exception) -> str:
    """An error in words; what a peer may have put into it is cut and made printable."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "".join(character for character in text[:200] if character.isprintable())


def _send(
    connection: http.client.HTTPConnection,
    resource: Resource,
    file: BinaryIO,
    on_progress: Progress,
) -> None:
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    connection.putrequest("PUT", resource.path)
    connection.putheader("Content-Length", str(size_bytes))
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    if _is_answered(connection.sock):
        return
    done_bytes = 0
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the answer says why
        while chunk := file.read(CHUNK_BYTES):
            connection.send(chunk)
            done_bytes += len(chunk)
            on_progress(done_bytes, size_bytes)


def _is_answered(sock: socket.socket) -> bool:
    """Whether the node answered for good, before the body: it refused, or has the model already."""
    if not select.select([sock], [], [], _CONTINUE_WAIT_S)[0]:
        return False
    return not _CONTINUE.startswith(sock.recv(len(_CONTINUE), socket.MSG_PEEK))


def _check_upload(response: http.client.HTTPResponse) -> None:
    if response.status in {200, 201}:
        return
    code, message = "", f"HTTP status {response.status}"
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        content = json.loads(response.read(_MAX_ERROR_BYTES))
        code, message = str(content["code"]), str(content["message"])
    printable = "".join(character for character in message if character.isprintable())[:500]
    error = IntegrityError if code == IntegrityError.code else StoreError
    raise error(f"The node refused the model: {printable}")
