"""Keeps a number of requests in flight and counts what comes back: rate, pauses, losses, wrong bits."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import numpy.typing as npt

from mesh.client import Answer
from mesh.errors import DeadlineExceededError, MeshError
from mesh.wire.infer import Timing

Inputs = Mapping[str, npt.NDArray[Any]]

REQUEST_TIMEOUT_S = 60.0
SILENCE_S = REQUEST_TIMEOUT_S + 5.0
"""A node answers by its own deadline, if only with an error: longer silence means that it is gone."""


class Asker(Protocol):
    """What a load needs of a client."""

    def infer_soon(
        self,
        model_name: str,
        inputs: Mapping[str, npt.ArrayLike],
        *,
        outputs: Sequence[str] | None = None,
        timeout_s: float = 30.0,
    ) -> "Future[Answer]":
        """Ask and return at once."""
        ...


@dataclass(slots=True, kw_only=True)
class LoadReport:
    """What a run did.

    `finished_s` holds the time since the start at which each request ended, in order; `timings`
    what the mesh says of each answer.
    """

    sent: int = 0
    answered: int = 0
    wrong: int = 0
    failures: list[str] = field(default_factory=list)
    elapsed_s: float = 0.0
    finished_s: list[float] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)

    @property
    def requests_per_s(self) -> float:
        return self.answered / self.elapsed_s if self.elapsed_s > 0 else 0.0

    def longest_pause_s(self) -> float:
        """The longest time in which no request ended."""
        times = [0.0, *self.finished_s]
        return max((b - a for a, b in pairwise(times)), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request with the bytes that its outputs must have, by name."""

    model_name: str
    inputs: Inputs
    expected: Mapping[str, bytes]

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(self.expected)


def run_load(
    asker: Asker,
    question: Question,
    *,
    count: int,
    in_flight: int,
    on_answer: Callable[[int], None] = lambda _answered: None,
) -> LoadReport:
    """Ask `count` times with so many at once. `on_answer` hears how many have ended.

    A request that fails is counted, not raised. Raises: DeadlineExceededError when replies stay away.
    """
    report = LoadReport()
    pending: set[Future[Answer]] = set()
    started_s = time.perf_counter()
    while report.sent < count or pending:
        while report.sent < count and len(pending) < in_flight:
            pending.add(_ask(asker, question))
            report.sent += 1
        done, pending = wait(pending, timeout=SILENCE_S, return_when=FIRST_COMPLETED)
        if not done:
            raise DeadlineExceededError(
                f"no reply for {SILENCE_S:.0f} s with {len(pending)} requests under way: is the node "
                "still there? see `mesh status`"
            )
        for future in done:
            _take(report, future, question, time.perf_counter() - started_s)
            on_answer(len(report.finished_s))
    report.elapsed_s = time.perf_counter() - started_s
    return report


def _ask(asker: Asker, question: Question) -> "Future[Answer]":
    try:
        return asker.infer_soon(
            question.model_name,
            question.inputs,
            outputs=question.outputs,
            timeout_s=REQUEST_TIMEOUT_S,
        )
    except MeshError as error:
        refused: Future[Answer] = Future()
        refused.set_exception(error)
        return refused


def _take(report: LoadReport, future: "Future[Answer]", question: Question, at_s: float) -> None:
    report.finished_s.append(at_s)
    try:
        answer = future.result()
    except MeshError as error:
        report.failures.append(f"{error.code}: {error}")
        return
    report.answered += 1
    if answer.timing is not None:
        report.timings.append(answer.timing)
    found = {name: array.tobytes() for name, array in answer.outputs.items()}
    report.wrong += found != question.expected
