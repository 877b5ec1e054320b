import logging
import threading
from collections.abc import Callable

import pytest

from mesh.errors import MeshError, StoreError
from mesh.node.jobs import Jobs
from mesh.node.loop import Loop

RunUntil = Callable[[Loop, Callable[[], bool]], None]


def test_work_runs_on_its_thread_and_its_outcome_comes_on_the_loops(run_until: RunUntil) -> None:
    loop, outcomes = Loop(), list[tuple[object, str]]()
    jobs = Jobs("work", loop.post)
    jobs.run(
        lambda: threading.current_thread().name,
        lambda outcome: outcomes.append((outcome, threading.current_thread().name)),
    )
    run_until(loop, lambda: bool(outcomes))
    jobs.close()
    ((worker, receiver),) = outcomes
    assert str(worker).startswith("work")
    assert receiver == threading.current_thread().name


def test_one_job_comes_after_another(run_until: RunUntil) -> None:
    loop, running, most, done = Loop(), list[int](), list[int](), list[object]()
    jobs = Jobs("work", loop.post)

    def work() -> None:
        running.append(1)
        most.append(len(running))
        running.pop()

    for _ in range(5):
        jobs.run(work, done.append)
    run_until(loop, lambda: len(done) == 5)
    jobs.close()
    assert max(most) == 1


def test_an_error_of_the_mesh_is_an_outcome(run_until: RunUntil) -> None:
    loop, outcomes, error = Loop(), list[object](), StoreError("the disk is full")

    def work() -> None:
        raise error

    jobs = Jobs("work", loop.post)
    jobs.run(work, outcomes.append)
    run_until(loop, lambda: bool(outcomes))
    jobs.close()
    assert outcomes == [error]


def test_a_fault_is_told_without_its_details(
    run_until: RunUntil, caplog: pytest.LogCaptureFixture
) -> None:
    loop, outcomes = Loop(), list[object]()
    jobs = Jobs("work", loop.post)
    with caplog.at_level(logging.ERROR, "mesh.jobs"):
        jobs.run(lambda: 1 // 0, outcomes.append)
        run_until(loop, lambda: bool(outcomes))
    jobs.close()
    (outcome,) = outcomes
    assert type(outcome) is MeshError
    assert "ZeroDivisionError" in str(outcome)
    assert "a job failed" in caplog.text


def test_closing_forgets_what_has_not_begun(run_until: RunUntil) -> None:
    loop, outcomes, begun, go_on = Loop(), list[object](), threading.Event(), threading.Event()
    jobs = Jobs("work", loop.post)

    def work() -> str:
        begun.set()
        go_on.wait(10)
        return "first"

    jobs.run(work, outcomes.append)
    jobs.run(lambda: "second", outcomes.append)
    begun.wait(10)
    jobs.close()
    go_on.set()
    run_until(loop, lambda: bool(outcomes))
    assert outcomes == ["first"]
