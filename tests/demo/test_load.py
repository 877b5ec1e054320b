from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

import numpy as np
import numpy.typing as npt
import pytest

from mesh.client import Answer
from mesh.demo import load
from mesh.demo.load import LoadReport, Question, run_load
from mesh.errors import DeadlineExceededError, MeshError, NodeLostError, OverloadedError
from mesh.wire.infer import Timing

ONES = np.ones((1, 2), np.float32)
TIMING = Timing(total_s=0.02, transfer_s=0.005, stages=())
QUESTION = Question(model_name="m", inputs={"x": ONES}, expected={"y": ONES.tobytes()})


def answer(value: float = 1.0) -> Answer:
    return Answer(outputs={"y": ONES * np.float32(value)}, timing=TIMING, model_version="1")


class FakeAsker:
    """Answers once as many are under way as ever will be; `outcome` gets the request's number."""

    def __init__(self, outcome: Callable[[int], Answer | MeshError], *, at_once: int) -> None:
        self._outcome = outcome
        self._at_once = at_once
        self._pending: list[Future[Answer]] = []
        self.asked: list[tuple[str, list[str], tuple[str, ...]]] = []
        self.most = 0

    def infer_soon(
        self,
        model_name: str,
        inputs: Mapping[str, npt.ArrayLike],
        *,
        outputs: Sequence[str] | None = None,
        timeout_s: float = 30.0,
    ) -> "Future[Answer]":
        self.asked.append((model_name, list(inputs), tuple(outputs or ())))
        future: Future[Answer] = Future()
        self._pending.append(future)
        self.most = max(self.most, len(self._pending))
        if len(self._pending) == self._at_once:
            for i, one in enumerate(self._pending):
                self._settle(one, len(self.asked) - self._at_once + 1 + i)
            self._pending = []
        return future

    def _settle(self, future: "Future[Answer]", number: int) -> None:
        outcome = self._outcome(number)
        if isinstance(outcome, MeshError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def test_all_are_asked_and_never_too_many_at_once() -> None:
    asker = FakeAsker(lambda _number: answer(), at_once=4)
    heard: list[int] = []
    report = run_load(asker, QUESTION, count=12, in_flight=4, on_answer=heard.append)
    assert (report.sent, report.answered, report.wrong, report.failures) == (12, 12, 0, [])
    assert asker.most == 4
    assert asker.asked == [("m", ["x"], ("y",))] * 12
    assert heard == list(range(1, 13))
    assert report.timings == [TIMING] * 12
    assert report.finished_s == sorted(report.finished_s)
    assert report.requests_per_s == 12 / report.elapsed_s


def test_wrong_bits_and_failures_are_counted_apart() -> None:
    outcomes: dict[int, Answer | MeshError] = {
        2: answer(2.0),
        3: NodeLostError("it is gone"),
        5: answer(-1.0),
    }
    asker = FakeAsker(lambda number: outcomes.get(number, answer()), at_once=1)
    report = run_load(asker, QUESTION, count=6, in_flight=1)
    assert (report.sent, report.answered, report.wrong) == (6, 5, 2)
    assert report.failures == ["NODE_LOST: it is gone"]
    assert len(report.finished_s) == 6


def test_a_missing_output_is_wrong() -> None:
    nothing = Answer(outputs={}, timing=None, model_version="1")
    report = run_load(FakeAsker(lambda _: nothing, at_once=1), QUESTION, count=1, in_flight=1)
    assert (report.answered, report.wrong, report.timings) == (1, 1, [])


def test_a_request_that_cannot_even_be_sent_is_a_failure() -> None:
    class Full(FakeAsker):
        def infer_soon(self, *_args: object, **_named: object) -> "Future[Answer]":
            raise OverloadedError("full")

    report = run_load(Full(lambda _: answer(), at_once=1), QUESTION, count=3, in_flight=2)
    assert (report.sent, report.answered, report.failures) == (3, 0, ["OVERLOADED: full"] * 3)


def test_replies_that_stay_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "SILENCE_S", 0.01)
    asker = FakeAsker(lambda _: answer(), at_once=9)
    with pytest.raises(DeadlineExceededError, match="2 requests under way"):
        run_load(asker, QUESTION, count=2, in_flight=2)


def test_the_longest_pause() -> None:
    assert LoadReport().longest_pause_s() == 0.0
    assert LoadReport().requests_per_s == 0.0
    assert LoadReport(finished_s=[0.5, 0.75, 2.0, 2.5]).longest_pause_s() == 1.25
    assert LoadReport(finished_s=[3.0, 3.5]).longest_pause_s() == 3.0
