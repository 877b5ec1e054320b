"""Counting and timing many requests, with time that only moves when told."""

from collections.abc import Callable
from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.cli.infer_load import LoadRun, quantile
from mesh.errors import DeadlineExceededError, MeshError, NotConnectedError, OverloadedError


class Server:
    """Answers the oldest request once `in_flight` are under way, or all are in."""

    def __init__(self, count: int, in_flight: int) -> None:
        self.now_s = 0.0
        self.most = 0
        self._left = count
        self._in_flight = in_flight
        self._waiting: list[Future[int]] = []
        self.fails: Callable[[int], MeshError | None] = lambda _number: None
        self._number = 0

    def submit(self) -> "Future[int]":
        future: Future[int] = Future()
        self._waiting.append(future)
        self._left -= 1
        self.most = max(self.most, len(self._waiting))
        if len(self._waiting) == self._in_flight:
            self._answer()
        while self._left == 0 and self._waiting:
            self._answer()
        return future

    def _answer(self) -> None:
        self.now_s += 0.01
        self._number += 1
        error = self.fails(self._number)
        future = self._waiting.pop(0)
        if error is None:
            future.set_result(self._number)
        else:
            future.set_exception(error)


def run(server: Server, count: int, in_flight: int) -> tuple[LoadRun[int], list[int]]:
    progress: list[int] = []
    load = LoadRun(
        server.submit,
        count=count,
        in_flight=in_flight,
        timeout_s=1.0,
        now_s=lambda: server.now_s,
        on_progress=lambda done, _total: progress.append(done),
    )
    return load, progress


@given(st.integers(1, 40), st.integers(1, 8))
def test_all_are_asked_and_no_more_at_once_than_allowed(count: int, in_flight: int) -> None:
    server = Server(count, in_flight)
    asking, progress = run(server, count, in_flight)
    load = asking.run()
    assert (load.answered, load.failed) == (count, 0)
    assert server.most <= in_flight
    assert progress[-1] == count
    assert load.seconds == pytest.approx(0.01 * count)
    assert load.requests_per_s == pytest.approx(100)
    assert load.p50_s is not None
    assert load.p95_s is not None
    assert load.slowest_s is not None
    assert 0 < load.p50_s <= load.p95_s <= load.slowest_s <= load.seconds
    assert asking.last_answer == count
    assert asking.first_error is None


def test_failures_are_counted_by_code() -> None:
    server = Server(10, 1)
    errors = {3: OverloadedError("a"), 4: OverloadedError("b"), 7: NotConnectedError("c")}
    server.fails = errors.get
    asking, _ = run(server, 10, 1)
    load = asking.run()
    assert (load.answered, load.failed) == (7, 3)
    assert load.failures == (("OVERLOADED", 2), ("NOT_CONNECTED", 1))
    assert asking.first_error is errors[3]


def test_a_request_that_cannot_be_sent_is_a_failure() -> None:
    def submit() -> "Future[int]":
        raise NotConnectedError("gone")

    server = Server(3, 1)
    asking, _ = run(server, 3, 1)
    asking._submit = submit
    load = asking.run()
    assert (load.answered, load.failed, load.p50_s) == (0, 3, None)
    assert asking.last_answer is None


def test_silence_ends_it() -> None:
    asking = LoadRun[int](
        Future,
        count=2,
        in_flight=2,
        timeout_s=0.01,
        now_s=lambda: 0.0,
        on_progress=lambda _done, _total: None,
    )
    with pytest.raises(DeadlineExceededError, match="2 requests under way"):
        asking.run()


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_quantiles(values: list[float], share: float) -> None:
    ascending = sorted(values)
    found = quantile(ascending, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


def test_no_quantile_of_nothing() -> None:
    assert quantile([], 0.5) is None
