"""Slow work beside the loop: runs on a named thread, its outcome comes back on the loop."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from mesh.errors import MeshError

_log = logging.getLogger("mesh.jobs")

T = TypeVar("T")


class Jobs:
    """One thread that takes one job after another."""

    def __init__(self, name: str, post: Callable[[Callable[[], None]], None]) -> None:
        self._post = post
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    def run(self, work: Callable[[], T], done: Callable[[T | MeshError], None]) -> None:
        """Have `work` done; `done` gets its result, or the error that ended it, on the loop."""

        def finished(future: "Future[T]") -> None:
            if not future.cancelled():
                outcome: T | MeshError = _outcome(future)
                self._post(lambda: done(outcome))

        self._executor.submit(work).add_done_callback(finished)

    def close(self) -> None:
        """Forget what has not begun; what runs is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _outcome(future: "Future[T]") -> "T | MeshError":
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, MeshError):
        return error
    _log.error("a job failed", exc_info=error)
    return MeshError(f"a fault in the node ({type(error).__name__}): its log has the details")
