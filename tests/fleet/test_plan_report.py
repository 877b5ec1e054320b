"""A question and its answer become one value."""

import math
from dataclasses import replace

import pytest

from mesh.fleet.plan_report import Live, Weighed, report
from mesh.ids import Epoch, ModelId, NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Explanation, PlanLink, PlanNode, Problem, evaluate
from mesh.planning.problem_file import problem_of
from mesh.planning.reasons.helps import Help
from mesh.wire import codec
from mesh.wire.planned import LeftOut, PlanReply

A, B, GATEWAY = (NodeId(letter * 16) for letter in "abe")
NODES = tuple(
    PlanNode(
        node_id=node_id,
        name=name,
        layer_s=(0.01, 0.02, 0.03),
        stage_s=0.001,
        memory_bytes=1000,
    )
    for node_id, name in ((A, "alpha"), (B, ""))
)
PROBLEM = Problem(
    nodes=NODES,
    layer_memory_bytes=(10, 10, 10),
    boundary_bytes=(100, 50, 50, 10),
    links={
        pair: PlanLink(goodput_bytes_per_s=1e5, message_s=0.0)
        for pair in ((A, B), (B, A), (GATEWAY, A), (A, GATEWAY), (GATEWAY, B), (B, GATEWAY))
    },
    gateway=GATEWAY,
)
PIPELINE = evaluate(
    PROBLEM, [((A,), LayerRange(start=0, stop=2)), ((B,), LayerRange(start=2, stop=3))]
)
REPLICAS = evaluate(PROBLEM, [((A, B), LayerRange(start=0, stop=3))])


@pytest.fixture
def weighed() -> Weighed:
    explanation = Explanation(
        chosen=PIPELINE,
        best_single=None,
        best_replicas=replace(REPLICAS, optimal=True, gap=0.0),
        best_pipeline=None,
        why_no_single="no node has 30 bytes",
        why_no_replicas="",
        why_no_pipeline="one stage was asked for",
        left_out=(),
        limited=(),
        verdict="the given plan gives 40 requests/s",
        helps=(Help(sentence="a faster alpha", requests_per_s=math.inf, latency_s=0.1),),
    )
    return Weighed(
        name="tiny",
        model_id=ModelId("0" * 64),
        boundaries=(0, 4, 8, 9),
        problem=PROBLEM,
        explanation=explanation,
        names={GATEWAY: "door"},
    )


def test_layers_are_told_as_operators_and_nodes_by_name(weighed: Weighed) -> None:
    told = report(weighed)
    assert [(stage.start, stage.stop) for stage in told.chosen.stages] == [(0, 8), (8, 9)]
    assert [stage.replicas[0].node_name for stage in told.chosen.stages] == ["alpha", B]
    assert (told.operators, told.gateway, told.gateway_name) == (9, GATEWAY, "door")


def test_figures_are_the_planners(weighed: Weighed) -> None:
    chosen, stage = report(weighed).chosen, PIPELINE.stages[0].replicas[0]
    assert (chosen.title, chosen.latency_s) == ("chosen", PIPELINE.latency_s)
    assert chosen.bottleneck == "compute on alpha"
    assert (chosen.bottleneck_kind, chosen.bottleneck_nodes) == ("compute", (A,))
    node = chosen.stages[0].replicas[0]
    assert (node.compute_s, node.pace_s, node.room_bytes) == (stage.compute_s, stage.pace_s, 1000)


def test_every_kind_of_plan_is_told_or_why_there_is_none(weighed: Weighed) -> None:
    told = report(weighed)
    assert [(one.title, one.optimal) for one in told.alternatives] == [("best replicas", True)]
    assert [node.share for node in told.alternatives[0].stages[0].replicas] == [0.5, 0.5]
    assert [(one.title, one.reason) for one in told.missing] == [
        ("best single node", "no node has 30 bytes"),
        ("best pipeline", "one stage was asked for"),
    ]


def test_the_live_plan_is_told_with_what_was_measured(weighed: Weighed) -> None:
    live = Live(
        epoch=Epoch(3), reason="b is back", requests_per_s=2.5, measured_compute_s={(1, B): 0.04}
    )
    told = report(replace(weighed, live=live, is_live=True))
    assert told.chosen.title == "live"
    assert told.verdict == "the live plan gives 40 requests/s"
    measured = [stage.replicas[0].measured_compute_s for stage in told.chosen.stages]
    assert measured == [None, 0.04]
    assert told.live is not None
    assert (told.live.epoch, told.live.reason, told.live.latency_s) == (3, "b is back", None)


def test_beside_another_plan_the_live_one_is_only_named(weighed: Weighed) -> None:
    live = Live(epoch=Epoch(3), measured_compute_s={(0, A): 0.04})
    told = report(replace(weighed, live=live))
    assert told.chosen.title == "chosen"
    assert told.chosen.stages[0].replicas[0].measured_compute_s is None
    assert told.live is not None


def test_who_is_no_part_of_the_question_is_left_out_too(weighed: Weighed) -> None:
    other = LeftOut(node_id=NodeId("9" * 16), node_name="zero", reason="it is being measured")
    assert report(replace(weighed, others=(other,))).left_out == (other,)


def test_what_has_no_bound_is_null(weighed: Weighed) -> None:
    told = report(weighed)
    assert told.latency_bound_s is None
    assert told.helps[0].requests_per_s is None


def test_the_reply_travels_with_the_question_where_it_was_wanted(weighed: Weighed) -> None:
    told = report(replace(weighed, with_problem=True, front=(PIPELINE, REPLICAS)))
    assert codec.decode(PlanReply, codec.encode(told), max_bytes=1 << 20) == told
    assert told.problem is not None
    assert problem_of(told.problem) == PROBLEM
    assert told.problem.model.boundaries == (0, 4, 8, 9)
    assert len(told.front) == 2
    assert report(weighed).problem is None
