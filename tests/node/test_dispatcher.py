import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from mesh.config import Config
from mesh.errors import NotConnectedError
from mesh.fleet.routes import whole_route
from mesh.ids import Epoch, ModelId, NodeId, PlanId
from mesh.model.tensor import DataType, TensorSpec
from mesh.node.dispatcher import Dispatcher, make_dispatcher
from mesh.node.loop import Loop
from mesh.pipeline.request import Answer
from mesh.testing.documents import sample_stage
from mesh.wire import refusal
from mesh.wire.documents import Plan, PlanPhase
from mesh.wire.frame import Frame, FrameKind, FrameTensor
from mesh.wire.infer import SessionUse
from mesh.wire.refusal import Refusal
from mesh.wire.topics import Lane

ME, A = NodeId("0" * 16), NodeId("a" * 16)
MODEL = ModelId("0" * 64)
INPUT = TensorSpec(index=0, name="x", data_type=DataType.UINT8, shape=(2,))
OUTPUT = TensorSpec(index=7, name="y", data_type=DataType.UINT8, shape=(3,))
PLAN = Plan(
    plan_id=PlanId("0" * 16),
    epoch=Epoch(1),
    model_id=MODEL,
    phase=PlanPhase.LIVE,
    stages=(sample_stage(A, start=0, stop=1, compute_s=0.01, transfer_s=0.0),),
    bottleneck_s=0.01,
    bottleneck="",
    latency_s=0.01,
    single_node=None,
    single_node_s=None,
    verdict="",
)
CONFIG = Config(max_queue=4, max_in_flight=2)
STEP_S = 0.05


@dataclass(slots=True)
class Stage:
    """The first stage's broker, as far as this node reaches it."""

    sent: list[Frame] = field(default_factory=list)
    failures: int = 0

    def send(self, node_id: NodeId, lane: Lane, frame: Frame) -> None:
        assert (node_id, lane) == (A, Lane.STAGE)
        if self.failures:
            self.failures -= 1
            raise NotConnectedError("no connection")
        self.sent.append(frame)


@dataclass(slots=True)
class Bench:
    """A dispatcher on a loop whose clock goes on by a step each time it is looked at."""

    plan: Plan | None = PLAN
    stage: Stage = field(default_factory=Stage)
    loop: Loop = field(init=False)
    dispatcher: Dispatcher = field(init=False)
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        steps = itertools.count()
        self.loop = Loop(lambda: next(steps) * STEP_S)
        self.dispatcher = make_dispatcher(CONFIG, self.loop, me=ME, send=self.stage.send)
        if self.plan is not None:
            self.dispatcher.set_route(MODEL, whole_route(self.plan))

    def ask(
        self,
        *,
        timeout_s: float = 5.0,
        on_answer: Callable[[Answer], None] | None = None,
        session: SessionUse | None = None,
        only_ends: bool = False,
    ) -> None:
        self.dispatcher.ask(
            MODEL,
            [] if only_ends else [(INPUT, b"in")],
            [OUTPUT],
            timeout_s=timeout_s,
            on_answer=on_answer or self.answers.append,
            no_plan_reason="not planned yet",
            session=session,
        )

    def run_until(self, is_done: Callable[[], bool]) -> None:
        def look() -> None:
            if is_done():
                self.loop.stop()
            else:
                self.loop.after(STEP_S, look)

        self.loop.post(look)
        self.loop.run()

    def codes(self) -> list[str | None]:
        return [one.refusal.code if one.refusal is not None else None for one in self.answers]


def result_of(frame: Frame) -> Frame:
    tensors = (FrameTensor(index=OUTPUT.index, data=b"out"),)
    return replace(frame, kind=FrameKind.RESULT, tensors=tensors, step=None)


def error_of(frame: Frame, *, retryable: bool) -> Frame:
    told = Refusal(code="INVOKE_FAILED", message="wrong", retryable=retryable)
    return replace(frame, kind=FrameKind.ERROR, tensors=(), error=refusal.encode(told))


def test_a_request_is_answered_once() -> None:
    bench = Bench()
    bench.ask()
    (sent,) = bench.stage.sent
    assert sent.tensors == (FrameTensor(index=INPUT.index, data=b"in"),)
    for _ in range(2):
        bench.dispatcher.result(result_of(sent))
    (answer,) = bench.answers
    assert answer.outputs == (b"out",)
    assert bench.dispatcher.stats()[0].answered == 1


def test_without_a_plan_the_answer_comes_at_once() -> None:
    bench = Bench(plan=None)
    bench.ask()
    assert bench.codes() == ["NO_PLAN"]


def test_each_request_has_a_key_of_its_own() -> None:
    bench = Bench()
    bench.ask()
    bench.ask()
    assert len({frame.request_key for frame in bench.stage.sent}) == 2


def test_what_cannot_be_sent_yet_is_sent_when_it_can() -> None:
    bench = Bench(stage=Stage(failures=3))
    bench.ask()
    assert bench.stage.sent == []
    bench.run_until(lambda: bool(bench.stage.sent))
    bench.dispatcher.result(result_of(bench.stage.sent[0]))
    assert bench.codes() == [None]


def test_an_error_that_may_pass_is_tried_again_and_another_is_the_answer() -> None:
    bench = Bench()
    bench.ask()
    bench.dispatcher.result(error_of(bench.stage.sent[0], retryable=True))
    bench.run_until(lambda: len(bench.stage.sent) == 2)
    assert bench.answers == []
    bench.dispatcher.result(error_of(bench.stage.sent[1], retryable=False))
    assert bench.codes() == ["INVOKE_FAILED"]


@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff"])
def test_an_error_that_cannot_be_read_is_no_answer(payload: bytes) -> None:
    bench = Bench()
    bench.ask()
    bench.dispatcher.result(replace(bench.stage.sent[0], kind=FrameKind.ERROR, error=payload))
    assert bench.answers == []
    bench.dispatcher.result(result_of(bench.stage.sent[0]))
    assert bench.codes() == [None]


def test_silence_ends_with_the_deadline_and_then_nothing_ticks() -> None:
    bench = Bench()
    for _ in range(4):
        bench.ask(timeout_s=1.0)
    bench.run_until(lambda: len(bench.answers) == 4)
    assert set(bench.codes()) == {"DEADLINE_EXCEEDED"}
    bench.run_until(lambda: not bench.loop._timers)
    bench.ask(timeout_s=1.0)
    bench.run_until(lambda: len(bench.answers) == 5)


def test_a_model_that_is_removed_answers_everybody_who_waits() -> None:
    bench = Bench()
    for _ in range(3):
        bench.ask()
    bench.dispatcher.drop_model(MODEL)
    assert bench.codes() == ["NO_PLAN"] * 3


def test_a_plan_without_a_successor_answers_everybody_who_waits() -> None:
    bench = Bench()
    for _ in range(3):
        bench.ask()
    bench.dispatcher.end_plan(MODEL, "its interpreter died")
    assert bench.codes() == ["NO_PLAN"] * 3
    assert bench.answers[0].refusal is not None
    assert bench.answers[0].refusal.message == "its interpreter died"


def test_a_reply_that_goes_wrong_costs_the_others_nothing() -> None:
    bench = Bench()

    def fail(answer: Answer) -> None:
        bench.answers.append(answer)
        raise ZeroDivisionError

    for _ in range(2):
        bench.ask(timeout_s=1.0, on_answer=fail)
    bench.ask(timeout_s=1.0)
    bench.run_until(lambda: len(bench.answers) == 3)
    assert bench.codes() == ["DEADLINE_EXCEEDED"] * 3


def test_an_answer_may_be_followed_by_the_next_request_at_once() -> None:
    bench = Bench()

    def ask_again(answer: Answer) -> None:
        bench.answers.append(answer)
        if len(bench.answers) < 5:
            bench.ask(on_answer=ask_again)

    bench.ask(on_answer=ask_again)
    for _ in range(5):
        bench.dispatcher.result(result_of(bench.stage.sent[-1]))
    assert bench.codes() == [None] * 5


# Sessions

BEGIN, GO_ON, END = (
    SessionUse(name="s", starts=starts, ends=ends)
    for starts, ends in ((True, False), (False, False), (False, True))
)


def test_the_steps_of_a_session_go_one_after_the_other() -> None:
    bench = Bench()
    for use in (BEGIN, GO_ON):
        bench.ask(session=use)
    assert [frame.kind for frame in bench.stage.sent] == [FrameKind.STEP]
    bench.dispatcher.result(result_of(bench.stage.sent[0]))
    bench.dispatcher.result(result_of(bench.stage.sent[1]))
    assert bench.codes() == [None, None]
    assert [one.step.number for one in bench.stage.sent if one.step is not None] == [0, 1]
    assert bench.dispatcher.stats()[0].sessions == 1
    bench.ask(session=END, only_ends=True)
    assert bench.stage.sent[-1].kind is FrameKind.DROP
    assert bench.answers[-1].outputs == ()
    assert bench.dispatcher.stats()[0].sessions == 0


def test_a_step_that_cannot_be_sent_is_not_tried_again() -> None:
    bench = Bench()
    bench.ask(session=BEGIN)
    bench.dispatcher.result(result_of(bench.stage.sent[0]))
    bench.stage.failures = 9
    bench.ask(session=GO_ON)
    assert bench.codes() == [None, "SESSION_LOST"]
    bench.ask(session=GO_ON)
    assert bench.codes()[-1] == "SESSION_LOST"


def test_a_step_fails_at_its_deadline_and_so_does_what_waits_for_it() -> None:
    bench = Bench()
    for use in (BEGIN, GO_ON):
        bench.ask(session=use, timeout_s=0.5)
    bench.run_until(lambda: len(bench.answers) == 2)
    assert bench.codes() == ["SESSION_LOST"] * 2


ENDS: dict[str, Callable[[Dispatcher], None]] = {
    "a node is gone": lambda dispatcher: dispatcher.keep_sessions(frozenset(), frozenset()),
    "a node was restarted": lambda dispatcher: dispatcher.keep_sessions({A}, {A}),
    "the model is gone": lambda dispatcher: dispatcher.drop_model(MODEL),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_session_does_not_outlive_its_nodes_and_its_model(
    end: Callable[[Dispatcher], None],
) -> None:
    bench = Bench()
    bench.ask(session=BEGIN)
    bench.dispatcher.keep_sessions({A}, frozenset())
    assert bench.answers == []
    end(bench.dispatcher)
    assert bench.codes() == ["SESSION_LOST"]
