"""Asks many times with a fixed number under way and says how fast it went."""

import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from mesh.errors import DeadlineExceededError, MeshError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of it; times of answers only, and None where there was none."""

    count: int
    in_flight: int
    answered: int
    failed: int
    seconds: float
    requests_per_s: float
    p50_s: float | None
    p95_s: float | None
    slowest_s: float | None
    failures: tuple[tuple[str, int], ...]


class LoadRun(Generic[T]):
    """`submit` starts one request; its Future carries the answer or a MeshError."""

    def __init__(
        self,
        submit: Callable[[], "Future[T]"],
        *,
        count: int,
        in_flight: int,
        timeout_s: float,
        now_s: Callable[[], float],
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._submit = submit
        self._count = count
        self._in_flight = in_flight
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._on_progress = on_progress
        self._under_way: dict[Future[T], float] = {}
        # Answers come on the connection's thread: the time is taken there.
        self._ended_s: deque[tuple[Future[T], float]] = deque()
        self._answer_s: list[float] = []
        self._failures: Counter[str] = Counter()
        self.first_error: MeshError | None = None
        self.last_answer: T | None = None

    def run(self) -> Load:
        """Raises: DeadlineExceededError when replies stay away."""
        began_s = self._now_s()
        started = ended = 0
        while ended < self._count:
            while started < self._count and len(self._under_way) < self._in_flight:
                self._start_one()
                started += 1
            ended += self._collect()
            self._on_progress(ended, self._count)
        return self._load(self._now_s() - began_s)

    def _start_one(self) -> None:
        began_s = self._now_s()
        try:
            future = self._submit()
        except MeshError as error:
            future = Future()
            future.set_exception(error)
        self._under_way[future] = began_s
        future.add_done_callback(lambda done: self._ended_s.append((done, self._now_s())))

    def _collect(self) -> int:
        done, _ = wait(self._under_way, timeout=self._timeout_s, return_when=FIRST_COMPLETED)
        if not done:
            raise DeadlineExceededError(
                f"no reply for {self._timeout_s:.3g} s with {len(self._under_way)} requests under "
                "way: is the node overloaded? see `mesh status`"
            )
        collected = 0
        while self._ended_s:
            future, ended_s = self._ended_s.popleft()
            self._take(future, ended_s - self._under_way.pop(future))
            collected += 1
        return collected

    def _take(self, future: "Future[T]", took_s: float) -> None:
        error = future.exception()
        if error is None:
            self._answer_s.append(took_s)
            self.last_answer = future.result()
        elif isinstance(error, MeshError):
            self._failures[error.code] += 1
            self.first_error = self.first_error or error
        else:
            raise error

    def _load(self, seconds: float) -> Load:
        times_s = sorted(self._answer_s)
        return Load(
            count=self._count,
            in_flight=self._in_flight,
            answered=len(times_s),
            failed=self._failures.total(),
            seconds=seconds,
            requests_per_s=len(times_s) / seconds if seconds > 0 else 0.0,
            p50_s=quantile(times_s, 0.5),
            p95_s=quantile(times_s, 0.95),
            slowest_s=times_s[-1] if times_s else None,
            failures=tuple(self._failures.most_common()),
        )


def quantile(ascending: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share does not exceed (nearest rank)."""
    if not ascending:
        return None
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]
