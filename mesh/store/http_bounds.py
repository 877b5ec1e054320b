"""What one HTTP client may cost this node: bytes of head, seconds, bytes a second, connections."""

import io
import socket
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Limits of the server; the defaults let a client on slow Wi-Fi through."""

    connections: int = 16
    head_bytes: int = 8192
    head_s: float = 10.0
    silence_s: float = 10.0  # for each piece of a body, both ways
    least_bytes_per_s: float = 16_384.0  # of a whole body
    lingering_bytes: int = 4 << 20  # read and dropped so that a refused client sees why


class HeadTooLongError(OSError):
    """More bytes of request line and headers than are read."""


class BoundedReader(io.RawIOBase):
    """A socket's bytes: as many, and as long, as the current part of the request may take.

    A timeout per read alone would let a client send a byte now and then for ever.
    """

    def __init__(self, connection: socket.socket, limits: HttpLimits) -> None:
        self._connection = connection
        self._limits = limits
        self._in_head = True
        self._left_bytes = limits.head_bytes
        self._silence_s = limits.head_s
        self._deadline_s = time.monotonic() + limits.head_s

    def begin_body(self, size_bytes: int) -> None:
        """Open the bounds for a body of this size."""
        self._in_head = False
        self._left_bytes = size_bytes
        self._silence_s = self._limits.silence_s
        allowance_s = self._silence_s + size_bytes / self._limits.least_bytes_per_s
        self._deadline_s = time.monotonic() + allowance_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes; 0 at the end. Raises: TimeoutError, HeadTooLongError."""
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the client is too slow")
        view = memoryview(buffer)[: self._left_bytes]
        if not view:
            if self._in_head:
                raise HeadTooLongError
            return 0
        self._connection.settimeout(min(left_s, self._silence_s))
        count = self._connection.recv_into(view)
        self._left_bytes -= count
        return count
