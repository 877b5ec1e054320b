"""Waits until an added model is served; when to stop waiting is decided by `judge`, which is pure."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from mesh.cli.steps import Step, Steps
from mesh.errors import DeadlineExceededError, InfeasibleError
from mesh.ids import ModelId
from mesh.wire.control import ModelStatus, StatusReply

POLL_S = 0.4
GRACE_S = 5.0
"""How long a problem must stand, with nobody busy, until it counts as one that stays."""


class Outlook(Enum):
    WAITING = "waiting"
    SERVED = "served"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """The model that is waited for."""

    name: str
    model_id: ModelId
    min_stages: int


def judge(status: StatusReply, awaited: Awaited, *, unchanged_s: float) -> Outlook:
    """`unchanged_s` is how long the model's problem and state have been as they are."""
    model = find(status, awaited)
    if model is None:
        return Outlook.WAITING
    rests = unchanged_s >= GRACE_S and not steps_of(status, awaited)
    if model.state == "serving":
        is_wide = len(model.stages) >= _stages_to_expect(status, awaited)
        return Outlook.SERVED if is_wide or rests else Outlook.WAITING
    passes = model.problem is None or model.problem.startswith("not planned yet")
    if passes or not rests:
        return Outlook.WAITING
    return Outlook.STUCK


def find(status: StatusReply, awaited: Awaited) -> ModelStatus | None:
    """The model, not another that its name stood for before."""
    for model in status.models:
        if (model.name, model.model_id) == (awaited.name, awaited.model_id):
            return model
    return None


def steps_of(status: StatusReply, awaited: Awaited) -> list[Step]:
    """What nodes are doing with the model."""
    return [
        Step(
            label=f"{node.name}: {activity.kind}",
            done=activity.done,
            total=activity.total,
            is_bytes=activity.kind == "fetching",
        )
        for node in status.nodes
        for activity in node.activities
        if activity.model_name == awaited.name
    ]


def wait_until_served(
    awaited: Awaited,
    *,
    ask: Callable[[], StatusReply],
    steps: Steps,
    now_s: Callable[[], float],
    pause: Callable[[float], None],
    timeout_s: float,
) -> StatusReply:
    """The status in which it is served. Raises: InfeasibleError, DeadlineExceededError."""
    began_s = changed_s = now_s()
    before: tuple[object, ...] = ()
    while True:
        status = ask()
        model = find(status, awaited)
        situation = (model.state, model.problem, len(model.stages)) if model is not None else ()
        if situation != before:
            before, changed_s = situation, now_s()
        outlook = judge(status, awaited, unchanged_s=now_s() - changed_s)
        problem = model.problem if model is not None else None
        if outlook is Outlook.SERVED:
            return status
        is_late = now_s() - began_s > timeout_s
        if is_late and model is not None and model.state == "serving":
            return status  # by a narrower split than was asked for, which `mesh plan` explains
        if outlook is Outlook.STUCK:
            raise InfeasibleError(f"{awaited.name} was added but cannot be served: {problem}")
        if is_late:
            raise DeadlineExceededError(
                f"{awaited.name} was added but is not served after {timeout_s:g} s: "
                f"{problem or 'nodes are still getting it ready'}; see `mesh status`"
            )
        steps.show(steps_of(status, awaited) or [Step(label=_pastime(model))])
        pause(POLL_S)


def _stages_to_expect(status: StatusReply, awaited: Awaited) -> int:
    """A split is made as wide as nodes allow."""
    return min(awaited.min_stages, sum(node.state == "ready" for node in status.nodes))


def _pastime(model: ModelStatus | None) -> str:
    if model is not None and model.stages:
        return "loading stages"
    return "planning"
