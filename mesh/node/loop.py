"""The node's one mailbox: every change of its state happens on the thread that runs this loop."""

import contextlib
import heapq
import itertools
import logging
import queue
import time
from collections.abc import Callable

_log = logging.getLogger("mesh.node")

Callback = Callable[[], None]


class Loop:
    """Runs callbacks one after another: those posted from any thread, and those that are due."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._mailbox: queue.SimpleQueue[Callback] = queue.SimpleQueue()
        self._timers: list[tuple[float, int, Callback]] = []
        self._order = itertools.count()
        self._running = False

    def now_s(self) -> float:
        return self._clock()

    def post(self, callback: Callback) -> None:
        """Have the callback run soon; from any thread."""
        self._mailbox.put(callback)

    def after(self, delay_s: float, callback: Callback) -> None:
        """Have the callback run once, later; from the loop's own thread."""
        heapq.heappush(self._timers, (self._clock() + delay_s, next(self._order), callback))

    def every(self, period_s: float, callback: Callback) -> None:
        """Have the callback run now and then every period; from the loop's own thread."""

        def again() -> None:
            self.after(period_s, again)
            callback()

        self.after(0.0, again)

    def run(self) -> None:
        """Run until `stop`. A callback that raises is logged and costs nothing else."""
        self._running = True
        while self._running:
            with contextlib.suppress(queue.Empty):
                self._run_one(self._mailbox.get(timeout=self._wait_s()))
            # Only what is due by now: a slow periodic callback must not starve the mailbox.
            now_s = self._clock()
            while self._timers and self._timers[0][0] <= now_s:
                self._run_one(heapq.heappop(self._timers)[2])

    def stop(self) -> None:
        """End `run` after the callbacks posted so far; from any thread."""
        self.post(self._end)

    def _end(self) -> None:
        self._running = False

    def _wait_s(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - self._clock())

    def _run_one(self, callback: Callback) -> None:
        try:
            callback()
        except Exception:  # noqa: BLE001 - a fault in one event must not end the node
            _log.exception("an event could not be handled")
