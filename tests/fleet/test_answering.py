from dataclasses import replace
from itertools import permutations

import pytest

from mesh.fleet.answering import answer
from mesh.fleet.track import Found, Solve
from mesh.ids import ModelId, NodeId
from mesh.planning import PlanLink, PlanNode, Problem
from mesh.planning.pieces import PieceMemory, Pieces
from mesh.testing.documents import sample_plan, sample_stage

A, B, C = (NodeId(letter * 16) for letter in "abc")
MODEL = ModelId("0" * 64)
PIECES = Pieces(
    boundaries=(0, 2, 5),
    boundary_bytes=(0, 0, 0),
    memory={"litert": PieceMemory(piece_bytes=(1, 1), stage_bytes=0)},
)
LINK = PlanLink(goodput_bytes_per_s=1e9, message_s=0.0)
PROBLEM = Problem(
    nodes=tuple(
        PlanNode(node_id=node_id, layer_s=(seconds, seconds), stage_s=0.0, memory_bytes=10)
        for node_id, seconds in ((A, 0.1), (B, 1.0))
    ),
    layer_memory_bytes=(1, 1),
    boundary_bytes=(0, 0, 0),
    links={(A, B): LINK, (B, A): LINK},
    gateway=A,
    max_replicas=1,
    max_stages=1,
)
FULL = replace(PROBLEM, nodes=(replace(PROBLEM.nodes[0], memory_bytes=1), PROBLEM.nodes[1]))
NOWHERE = replace(PROBLEM, nodes=tuple(replace(one, memory_bytes=1) for one in PROBLEM.nodes))
LIVE = sample_plan(sample_stage(B, start=0, stop=5))


def found(question: Solve) -> Found:
    answered = answer(question, PIECES)
    assert isinstance(answered, Found)
    return answered


def test_the_best_plan_is_found_and_the_live_one_weighed() -> None:
    one = found(Solve(model_id=MODEL, problem=PROBLEM, live=LIVE))
    assert one.solution.node_ids == (A,)
    assert one.live is not None
    assert one.live.node_ids == (B,)
    assert one.live.bottleneck_s == pytest.approx(2.0)


def test_a_plan_is_sought_that_fits_beside_the_live_one() -> None:
    one = found(Solve(model_id=MODEL, problem=PROBLEM, roomy=FULL, live=LIVE))
    assert one.solution.node_ids == (B,)


def test_where_none_fits_beside_it_any_plan_will_do() -> None:
    question = Solve(model_id=MODEL, problem=PROBLEM, roomy=NOWHERE, live=LIVE)
    assert found(question).solution.node_ids == (A,)


def test_for_drift_alone_a_plan_must_fit_beside_the_live_one() -> None:
    question = Solve(model_id=MODEL, problem=PROBLEM, roomy=NOWHERE, may_crowd=False, live=LIVE)
    assert isinstance(answer(question, PIECES), str)


def test_what_has_no_answer_is_told() -> None:
    answered = answer(Solve(model_id=MODEL, problem=NOWHERE), PIECES)
    assert isinstance(answered, str)
    assert answered


@pytest.mark.parametrize(
    "problem",
    [
        replace(PROBLEM, nodes=PROBLEM.nodes[:1]),  # its node is gone
        replace(PROBLEM, required=frozenset({A}), max_stages=None),  # it lacks a node
        replace(PROBLEM, latency_bound_s=0.5),  # it is too slow
    ],
)
def test_a_live_plan_that_is_not_allowed_any_more_is_none(problem: Problem) -> None:
    assert found(Solve(model_id=MODEL, problem=problem, live=LIVE)).live is None


def test_a_live_plan_keeps_its_shares_when_a_node_becomes_slower() -> None:
    nodes = (*PROBLEM.nodes, replace(PROBLEM.nodes[0], node_id=C))
    problem = replace(
        PROBLEM,
        nodes=nodes,
        links=dict.fromkeys(permutations((A, B, C), 2), LINK),
        max_replicas=None,
        max_stages=None,
    )
    live = sample_plan(sample_stage(A, start=0, stop=2), sample_stage(B, C, start=2, stop=5))
    one = found(Solve(model_id=MODEL, problem=problem, live=live))
    assert one.live is not None
    assert one.live.bottleneck_s == pytest.approx(0.5), "half of the requests wait for b"
    whole = sample_plan(sample_stage(A, B, start=0, stop=5))
    one = found(Solve(model_id=MODEL, problem=problem, live=whole))
    assert one.live is not None
    assert one.live.bottleneck_s == pytest.approx(2.0 / 11), "the gateway goes by what is under way"
