"""A request while this node answers for it, and what is to be done about it, as values; decided elsewhere."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from mesh.ids import ModelId, NodeId, PlanId, RequestKey, SessionKey
from mesh.model.tensor import TensorSpec
from mesh.wire.documents import Plan
from mesh.wire.frame import Frame, FrameTensor, SessionStep, StageTime
from mesh.wire.refusal import Refusal, refusal_of


class State(Enum):
    WAITING = "waiting"
    IN_FLIGHT = "in_flight"


@dataclass(slots=True, kw_only=True)
class Request:
    """A request until it is answered.

    `pinned` ties it to one plan: a golden check from the start, a step of a session from the first
    one's sending on; both keep to their `way`. `sent_to` is who of stage 0 has the latest attempt.
    """

    key: RequestKey
    model_id: ModelId
    tensors: tuple[FrameTensor, ...]
    outputs: tuple[TensorSpec, ...]
    arrived_s: float
    deadline_s: float
    pinned: Plan | None = None
    step: SessionStep | None = None
    way: int = 0
    sent_to: NodeId | None = None
    state: State = State.WAITING
    attempt: int = 0
    sent_s: float = 0.0
    due_s: float = 0.0
    failed_attempt: int = 0
    child_deaths: "Counter[tuple[PlanId, int]]" = field(default_factory=Counter)
    plans: dict[PlanId, Plan] = field(default_factory=dict)

    @property
    def is_check(self) -> bool:
        """A golden check: it passes queue and window, and counts in no statistics."""
        return self.pinned is not None and self.step is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Publish to the node's stage lane; call `unsent` when that fails at once."""

    node_id: NodeId
    frame: Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The one answer: outputs in the model's order, or why there are none; `session` of a step."""

    key: RequestKey
    outputs: tuple[bytes | memoryview, ...] = ()
    refusal: Refusal | None = None
    plan: Plan | None = None
    timings: tuple[StageTime, ...] = ()
    total_s: float = 0.0
    attempts: int = 0
    session: SessionKey | None = None


Action = Send | Answer


def refuse(request: Request, error: Exception, now_s: float) -> Answer:
    """The answer that there is none."""
    return Answer(key=request.key, refusal=refusal_of(error), total_s=now_s - request.arrived_s)


def outputs_of(request: Request, frame: Frame) -> tuple[bytes | memoryview, ...] | None:
    """The tensors in the order asked for; None when one is missing or of another size."""
    found = {tensor.index: tensor.data for tensor in frame.tensors}
    if any(s.index not in found or len(found[s.index]) != s.size_bytes for s in request.outputs):
        return None
    return tuple(found[spec.index] for spec in request.outputs)
