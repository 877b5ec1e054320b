"""When waiting for a model ends, and what is shown until then."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mesh.cli.model_wait import (
    GRACE_S,
    Awaited,
    Outlook,
    judge,
    steps_of,
    wait_until_served,
)
from mesh.cli.steps import Step
from mesh.errors import DeadlineExceededError, InfeasibleError
from mesh.ids import ModelId
from mesh.wire.control import ModelStatus, StatusReply

POSE = Awaited(name="pose", model_id=ModelId("90cbd402" * 8), min_stages=1)


def with_model(status: StatusReply, model: ModelStatus, *, busy: bool = False) -> StatusReply:
    nodes = status.nodes if busy else tuple(replace(node, activities=()) for node in status.nodes)
    return replace(status, models=(model,), nodes=nodes)


@pytest.fixture
def waiting(model_status: ModelStatus) -> ModelStatus:
    return replace(model_status, state="no plan yet", stages=(), epoch=None)


def test_served(status: StatusReply) -> None:
    assert judge(status, POSE, unchanged_s=0) is Outlook.SERVED


def test_another_file_under_the_name_is_not_it(status: StatusReply) -> None:
    other = replace(POSE, model_id=ModelId("f" * 64))
    assert judge(status, other, unchanged_s=99) is Outlook.WAITING
    assert judge(replace(status, models=()), POSE, unchanged_s=99) is Outlook.WAITING


def test_a_split_is_waited_for_as_wide_as_nodes_allow(
    status: StatusReply, model_status: ModelStatus
) -> None:
    whole = with_model(status, replace(model_status, stages=model_status.stages[:1]))
    wide = replace(POSE, min_stages=5)
    assert judge(whole, wide, unchanged_s=0) is Outlook.WAITING
    assert judge(whole, wide, unchanged_s=GRACE_S) is Outlook.SERVED
    assert judge(status, wide, unchanged_s=0) is Outlook.SERVED  # two of two nodes that are ready


def test_a_narrower_plan_is_not_the_end_while_a_node_is_still_measuring(
    status: StatusReply, model_status: ModelStatus
) -> None:
    narrow = replace(model_status, stages=model_status.stages[:1])
    wide = replace(POSE, min_stages=2)
    busy = with_model(status, narrow, busy=True)
    assert judge(busy, wide, unchanged_s=99) is Outlook.WAITING


@pytest.mark.parametrize(
    ("problem", "busy", "unchanged_s", "outlook"),
    [
        (None, False, 99.0, Outlook.WAITING),
        ("not planned yet: zero: it is being measured", False, 99.0, Outlook.WAITING),
        ("no node has enough memory", False, 0.0, Outlook.WAITING),
        ("no node has enough memory", True, 99.0, Outlook.WAITING),
        ("no node has enough memory", False, GRACE_S, Outlook.STUCK),
    ],
)
def test_problems(
    problem: str | None, busy: bool, unchanged_s: float, outlook: Outlook, status: StatusReply
) -> None:
    waiting = replace(status.models[0], state="no plan yet", stages=(), epoch=None)
    now = with_model(status, replace(waiting, problem=problem), busy=busy)
    assert judge(now, POSE, unchanged_s=unchanged_s) is outlook


def test_only_this_model_s_activities_are_shown(status: StatusReply) -> None:
    assert steps_of(status, POSE) == [Step(label="pi4-hall: measuring", done=7, total=12)]
    lens = replace(POSE, name="lens")
    assert steps_of(status, lens)[0].extent == "3 MiB of 6 MiB"


class Wait:
    """Plays statuses, one a poll, the last for ever; time passes only in pauses."""

    def __init__(self, *statuses: StatusReply) -> None:
        self.now_s = 0.0
        self.shown: list[str] = []
        self._statuses = list(statuses)

    def run(self, timeout_s: float = 60.0, *, min_stages: int = 1) -> StatusReply:
        return wait_until_served(
            replace(POSE, min_stages=min_stages),
            ask=lambda: self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0],
            steps=self,
            now_s=lambda: self.now_s,
            pause=self._pause,
            timeout_s=timeout_s,
        )

    def show(self, steps: Sequence[Step]) -> None:
        self.shown += [step.label for step in steps]

    def close(self) -> None: ...

    def _pause(self, pause_s: float) -> None:
        self.now_s += pause_s


def test_waiting_shows_what_happens(status: StatusReply, waiting: ModelStatus) -> None:
    loading = with_model(status, replace(status.models[0], state="waiting for a node"))
    wait = Wait(
        replace(status, models=(), nodes=()),
        with_model(status, waiting, busy=True),
        with_model(status, waiting),
        loading,
        status,
    )
    assert wait.run() == status
    assert wait.shown == ["planning", "pi4-hall: measuring", "planning", "loading stages"]


def test_a_narrower_plan_is_taken_when_time_is_over(
    status: StatusReply, model_status: ModelStatus
) -> None:
    narrow = replace(model_status, stages=model_status.stages[:1])
    busy = with_model(status, narrow, busy=True)
    assert Wait(busy).run(min_stages=2) == busy


def test_a_problem_that_stays_ends_it(status: StatusReply, waiting: ModelStatus) -> None:
    stuck = with_model(status, replace(waiting, problem="no node has enough memory"))
    wait = Wait(stuck)
    with pytest.raises(InfeasibleError, match="was added but cannot be served: no node has"):
        wait.run()
    assert GRACE_S <= wait.now_s < GRACE_S + 1


def test_patience_ends(status: StatusReply, waiting: ModelStatus) -> None:
    with pytest.raises(DeadlineExceededError, match="not served after 3 s: nodes are still"):
        Wait(with_model(status, waiting)).run(timeout_s=3)
