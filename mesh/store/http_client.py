"""Asks other nodes' stores over HTTP: one request a connection, every answer bounded and checked.

Any trouble is a `PeerError` that says what the peer did; which peer to ask next is decided in
`fetch`.
"""

import contextlib
import http.client
import json
import re
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from mesh.errors import StoreError, UsageError
from mesh.ids import ModelId
from mesh.store.disk import CHUNK_BYTES, Progress, hash_file, no_progress
from mesh.store.http_request import ByteRange, Collection, Resource
from mesh.store.incoming import mapped_os_errors

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
        host, port = check_url(url)
        self._resource = resource
        self._connection = http.client.HTTPConnection(host, port, timeout=silence_s)
        self._lock = threading.Lock()
        self._is_cut = False

    def read(self, part: ByteRange, file_bytes: int) -> Iterator[bytes]:
        """Yield exactly the bytes of `part` of a file of this size. Raises: PeerError."""
        try:
            yield from self._read(part, file_bytes)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise PeerError(f"{type(error).__name__}: {reason:.200}") from error
        finally:
            self._connection.close()

    def cut(self) -> None:
        """End it now: its reader gets a PeerError."""
        with self._lock:
            self._is_cut = True
            if self._connection.sock is not None:
                with contextlib.suppress(OSError):
                    self._connection.sock.shutdown(socket.SHUT_RDWR)

    def _read(self, part: ByteRange, file_bytes: int) -> Iterator[bytes]:
        self._connection.connect()
        if self._is_cut:
            raise PeerError("it was too slow")
        headers = {"Range": f"bytes={part.start}-{part.stop - 1}", "Connection": "close"}
        # http.client forgets the socket once a reply will close it: keep it within reach of `cut`.
        sock = self._connection.sock
        self._connection.request("GET", self._resource.path, headers=headers)
        response = self._connection.getresponse()
        self._connection.sock = sock
        _check_reply(response, part, file_bytes)
        left_bytes = len(part)
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


def upload(
    url: str, path: Path, on_progress: Progress = no_progress, *, silence_s: float = 30.0
) -> ModelId:
    """Send a model file to a node and return its content id. Raises: StoreError, UsageError."""
    host, port = check_url(url)
    model_id = hash_file(path)
    resource = Resource(collection=Collection.MODELS, model_id=model_id)
    connection = http.client.HTTPConnection(host, port, timeout=silence_s)
    with contextlib.closing(connection), mapped_os_errors(f"Reading {path}"), path.open("rb") as file:
        size_bytes = path.stat().st_size
        try:
            _send(connection, resource, file, size_bytes, on_progress)
            _check_upload(connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            raise StoreError(f"Uploading to {url} failed: {error}; is the node running?") from error
    return model_id
