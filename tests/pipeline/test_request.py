from dataclasses import replace

import pytest

from mesh.errors import NodeLostError
from mesh.ids import Epoch, ModelId, NodeId, PlanId, RequestKey, SessionKey
from mesh.pipeline.request import Request, refuse
from mesh.testing.documents import sample_stage
from mesh.wire.documents import Plan, PlanPhase
from mesh.wire.frame import SessionStep

STEP = SessionStep(key=SessionKey(b"s" * 16), number=0)
PLAN = Plan(
    plan_id=PlanId("0" * 16),
    epoch=Epoch(1),
    model_id=ModelId("0" * 64),
    phase=PlanPhase.LIVE,
    stages=(sample_stage(NodeId("a" * 16), start=0, stop=1, compute_s=0.1, transfer_s=0.0),),
    bottleneck_s=0.1,
    bottleneck="",
    latency_s=0.1,
    single_node=None,
    single_node_s=None,
    verdict="",
)
REQUEST = Request(
    key=RequestKey(b"k" * 16),
    model_id=PLAN.model_id,
    tensors=(),
    outputs=(),
    arrived_s=1.0,
    deadline_s=2.0,
)


@pytest.mark.parametrize(
    ("request_", "is_check"),
    [
        (REQUEST, False),
        (replace(REQUEST, pinned=PLAN), True),
        (replace(REQUEST, step=STEP), False),
        (replace(REQUEST, pinned=PLAN, step=STEP), False),
    ],
)
def test_a_golden_check_is_tied_to_a_plan_and_no_session(request_: Request, is_check: bool) -> None:
    assert request_.is_check is is_check


def test_a_refusal_says_why_and_after_how_long() -> None:
    answer = refuse(REQUEST, NodeLostError("it is gone"), 1.5)
    assert answer.refusal is not None
    assert (answer.key, answer.total_s) == (REQUEST.key, 0.5)
    assert (answer.refusal.code, answer.refusal.message) == ("NODE_LOST", "it is gone")
