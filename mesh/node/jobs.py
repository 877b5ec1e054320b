"""Slow work beside the loop: runs on a named thread, its outcome comes back on the loop."""

import logging
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from mesh.errors import MeshError

_log = logging.getLogger("mesh.jobs")

T = TypeVar("T")


class Jobs:
    """One thread that takes one job after another. It never keeps the process from ending."""

    def __init__(self, name: str, post: Callable[[Callable[[], None]], None]) -> None:
        self._post = post
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def run(self, work: Callable[[], T], done: Callable[[T | MeshError], None]) -> None:
        """Have `work` done; `done` gets its result, or the error that ended it, on the loop."""

        def job() -> None:
            outcome: T | MeshError = _outcome(work)
            self._post(lambda: done(outcome))

        self._queue.put(job)

    def close(self) -> None:
        """Forget what has not begun; what runs is not waited for."""
        self._closing.set()
        self._queue.put(None)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None and not self._closing.is_set():
            job()


def _outcome(work: Callable[[], T]) -> T | MeshError:
    try:
        return work()
    except MeshError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whoever waits for the job must hear of its end
        _log.exception("a job failed")
        return MeshError(f"a fault in the node ({type(error).__name__}): its log has the details")
