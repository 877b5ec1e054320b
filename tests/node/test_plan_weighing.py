"""What is worked out beside the loop."""

from dataclasses import replace

import pytest

from mesh.errors import InfeasibleError, UsageError
from mesh.fleet.plans import ModelFacts
from mesh.ids import Epoch, ModelId, NodeId, PlanId
from mesh.model import read_model
from mesh.node.plan_weighing import Question, weigh
from mesh.planning import PlanLink, PlanNode, Problem
from mesh.planning.pieces import pieces_of
from mesh.planning.wishes import Wishes
from mesh.testing.documents import sample_stage
from mesh.testing.models import tiny_dense
from mesh.wire.documents import Plan, PlanPhase
from mesh.wire.planned import PlanRequest

A, B = NodeId("a" * 16), NodeId("b" * 16)
PIECES = pieces_of(read_model(tiny_dense()), max_boundary_bytes=1 << 20)
FACTS = ModelFacts(model_id=ModelId("0" * 64), name="tiny", wishes=Wishes(), pieces=PIECES)
LINK = PlanLink(goodput_bytes_per_s=1e8, message_s=1e-4)
PROBLEM = Problem(
    nodes=tuple(
        PlanNode(
            node_id=node_id,
            name=name,
            layer_s=tuple(time_s for _ in range(len(PIECES))),
            stage_s=0.0,
            memory_bytes=1 << 30,
        )
        for node_id, name, time_s in ((A, "quick", 0.01), (B, "slow", 0.03))
    ),
    layer_memory_bytes=(1.0,) * len(PIECES),
    boundary_bytes=PIECES.boundary_bytes,
    links={(A, B): LINK, (B, A): LINK},
    gateway=A,
)


def question(**request: object) -> Question:
    return Question(
        request=PlanRequest(name="tiny", **request),  # type: ignore[arg-type]
        facts=FACTS,
        problem=PROBLEM,
        boards={A: "raspberry-pi-5", B: "raspberry-pi-4b"},
        others=(),
        plan=None,
    )


def plan_of(*stages: tuple[NodeId, int, int]) -> Plan:
    return Plan(
        plan_id=PlanId("0" * 16),
        epoch=Epoch(1),
        model_id=FACTS.model_id,
        phase=PlanPhase.LIVE,
        stages=tuple(sample_stage(node_id, start=a, stop=b) for node_id, a, b in stages),
        bottleneck_s=0.01,
        bottleneck="",
        latency_s=0.01,
        single_node=None,
        single_node_s=None,
        verdict="",
    )


def test_without_a_plan_the_best_one_is_weighed() -> None:
    weighed = weigh(question())
    assert not weighed.is_live
    assert weighed.explanation.chosen.optimal
    assert set(weighed.explanation.chosen.node_ids) == {A, B}


def test_a_plan_that_is_given_is_weighed_under_todays_facts() -> None:
    weighed = weigh(replace(question(), plan=plan_of((B, 0, 3))))
    assert weighed.is_live
    assert weighed.explanation.chosen.node_ids == (B,)
    assert weighed.explanation.chosen.bottleneck_s == pytest.approx(0.09)


@pytest.mark.parametrize("stages", [((NodeId("c" * 16), 0, 3),), ((A, 0, 3), (B, 3, 7))])
def test_a_plan_that_todays_facts_do_not_allow_gives_way(
    stages: tuple[tuple[NodeId, int, int], ...],
) -> None:
    assert not weigh(replace(question(), plan=plan_of(*stages))).is_live


def test_more_is_only_worked_out_where_it_was_asked_for() -> None:
    plain, full = weigh(question()), weigh(question(helps=True, front=True, dump_problem=True))
    assert (plain.explanation.helps, plain.front, plain.with_problem) == ((), (), False)
    assert full.front
    assert full.front[0].latency_s < full.front[-1].latency_s
    assert full.with_problem


def test_supposed_boards_join_the_problem() -> None:
    weighed = weigh(question(add=("pi5:2",)))
    assert len(weighed.problem.nodes) == 4
    assert weighed.supposed
    assert weighed.rate_range is not None
    assert (
        weighed.explanation.chosen.requests_per_s
        > weigh(question()).explanation.chosen.requests_per_s
    )


def test_what_cannot_be_answered_is_an_error() -> None:
    with pytest.raises(UsageError, match="abacus"):
        weigh(question(add=("abacus",)))
    with pytest.raises(InfeasibleError):
        weigh(replace(question(), problem=replace(PROBLEM, latency_bound_s=1e-6)))
