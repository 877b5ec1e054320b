"""Which of the nodes that may be asked is asked: one that answers, and the next one when it is lost."""

import logging
from collections.abc import Callable, Sequence
from threading import Lock

from mesh.client.connection import Connection
from mesh.errors import BrokerError, NotConnectedError

_LOG = logging.getLogger("mesh.client")


class Candidates:
    """Keeps a connection to one of `urls`; whoever asks when it is lost moves on to another.

    The lost one is tried last, so with a single URL it is waited for.
    """

    def __init__(
        self, urls: Sequence[str], connect: Callable[[str], Connection], *, timeout_s: float
    ) -> None:
        self.urls = tuple(urls)
        self._connect = connect
        self._timeout_s = timeout_s
        self._lock = Lock()  # one thread moves, the others wait for the outcome
        self._is_closed = False
        self._at = -1
        self._current: Connection | None = None

    @property
    def url(self) -> str:
        """The node that is asked, or was before it was lost."""
        current = self._current
        return self.urls[0] if current is None else current.url

    def connection(self) -> Connection:
        """A connection that is up. Raises: BrokerError when no node can be reached."""
        with self._lock:
            if self._is_closed:
                raise NotConnectedError("the client was closed: make a new one")
            current = self._current
            if current is None or not current.is_up:
                current = self._move()
            return current

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            if self._current is not None:
                self._current.close("the client was closed")

    def _move(self) -> Connection:
        """Once round the URLs, beginning behind the lost one."""
        lost, refusals = self._current, []
        for step in range(1, len(self.urls) + 1):
            at = (self._at + step) % len(self.urls)
            tried = lost if lost and at == self._at else self._connect(self.urls[at])
            if tried.await_up(self._timeout_s, patient=len(self.urls) == 1):
                self._take(tried, at)
                return tried
            refusals.append(f"{self.urls[at]} ({tried.trouble})")
            if tried is not lost:
                tried.close("it did not answer")
        raise BrokerError(
            f"no broker answered at {', '.join(refusals)}: is the node running and its port open?"
        )

    def _take(self, tried: Connection, at: int) -> None:
        if self._current is not None and self._current is not tried:
            _LOG.info("%s is asked now: %s was lost", tried.url, self._current.url)
            self._current.close("another node is asked now")
        self._at, self._current = at, tried
