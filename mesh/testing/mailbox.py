"""Deliveries of the fakes, one at a time and in order, whatever they cause; no thread of its own."""

from collections import deque
from collections.abc import Callable
from threading import Lock


class Mailbox:
    """Whoever calls `deliver` first delivers for all; a delivery may put in more."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._delivering = Lock()

    def put(self, delivery: Callable[[], None]) -> None:
        self._waiting.append(delivery)

    def deliver(self) -> None:
        # Look again after letting go: another thread may have put something in between.
        while self._waiting and self._delivering.acquire(blocking=False):
            try:
                while self._waiting:
                    self._waiting.popleft()()
            finally:
                self._delivering.release()
