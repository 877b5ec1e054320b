import logging
import threading
from collections.abc import Callable
from functools import partial

import pytest

from mesh.node.loop import Loop


class Clock:
    """Stands still until a callback moves it."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def move(self, seconds: float) -> Callable[[], None]:
        def moved() -> None:
            self.now_s += seconds

        return moved


def test_what_is_posted_runs_in_order_and_stop_comes_last() -> None:
    loop, done = Loop(), list[int]()
    for i in range(5):
        loop.post(partial(done.append, i))
    loop.stop()
    loop.post(lambda: done.append(99))
    loop.run()
    assert done == [0, 1, 2, 3, 4]


def test_a_loop_can_run_again() -> None:
    loop, done = Loop(), list[str]()
    loop.stop()
    loop.run()
    loop.post(lambda: done.append("again"))
    loop.stop()
    loop.run()
    assert done == ["again"]


def test_another_thread_wakes_a_loop_that_waits() -> None:
    loop, ran_on = Loop(), list[str]()
    thread = threading.Thread(target=loop.run, name="the loop")
    thread.start()
    loop.post(lambda: ran_on.append(threading.current_thread().name))
    loop.stop()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert ran_on == ["the loop"]


def test_a_posted_callback_comes_before_a_distant_timer() -> None:
    loop, done = Loop(), list[str]()
    loop.after(3600.0, lambda: done.append("late"))
    loop.post(lambda: done.append("soon"))
    loop.stop()
    loop.run()
    assert done == ["soon"]


def test_timers_run_when_due_by_time_and_then_by_order() -> None:
    clock = Clock()
    loop, done = Loop(clock), list[str]()
    loop.after(2.0, lambda: done.append("two"))
    loop.after(1.0, lambda: done.append("one"))
    loop.after(1.0, lambda: done.append("one too"))
    loop.after(9.0, lambda: done.append("never"))
    loop.post(clock.move(1.5))
    loop.post(lambda: done.append("between"))
    loop.post(clock.move(1.0))
    loop.post(loop.stop)
    loop.run()
    assert done == ["one", "one too", "between", "two"]


def test_a_timer_runs_by_the_real_clock() -> None:
    loop, done = Loop(), list[str]()
    loop.after(0.01, lambda: done.append("now"))
    loop.after(0.02, loop.stop)
    loop.run()
    assert done == ["now"]


def test_every_runs_at_once_and_then_each_period() -> None:
    clock = Clock()
    loop, seen = Loop(clock), list[float]()
    loop.every(1.0, lambda: seen.append(clock.now_s))
    for _ in range(5):
        loop.post(clock.move(0.5))
    loop.post(loop.stop)
    loop.run()
    assert seen == [100.5, 101.5, 102.5]


def test_a_periodic_callback_slower_than_its_period_leaves_room_for_others() -> None:
    clock = Clock()
    loop, runs = Loop(clock), list[float]()

    def slow() -> None:
        runs.append(clock.now_s)
        clock.now_s += 3.0
        assert len(runs) < 10, "nobody else has a turn"

    loop.every(1.0, slow)
    for _ in range(3):
        loop.post(clock.move(0.0))
    loop.stop()
    loop.run()
    assert 1 < len(runs) < 10


def test_a_callback_that_raises_is_logged_and_costs_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    loop, done = Loop(clock), list[str]()

    def fail() -> None:
        done.append("failed")
        raise ZeroDivisionError

    loop.every(1.0, fail)
    loop.post(fail)
    loop.post(clock.move(1.0))
    loop.post(lambda: done.append("fine"))
    loop.stop()
    with caplog.at_level(logging.ERROR, "mesh.node"):
        loop.run()
    assert done == ["failed", "failed", "failed", "fine"]
    assert len(caplog.records) == 3
