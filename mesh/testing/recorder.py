"""Takes the events of a bus, or any others, and waits for them: what a test uses instead of sleeping."""

from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K")


class Recorder(Generic[T]):
    """Call it with each event, from any thread."""

    def __init__(self) -> None:
        self.events: list[T] = []
        self._changed = Condition()

    def __call__(self, event: T) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def wait_for(self, kind: type[K], count: int = 1, *, timeout_s: float = 10.0) -> list[K]:
        """Return all events of a kind as soon as there are `count`. Raises: TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.of(kind)) >= count, timeout_s):
                raise TimeoutError(f"{len(self.of(kind))} of {count} {kind.__name__} came")
            return self.of(kind)

    def of(self, kind: type[K]) -> list[K]:
        """Return all events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]
