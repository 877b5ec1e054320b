from dataclasses import replace

import pytest

from mesh.fleet.plans import (
    ModelFacts,
    broken,
    held_by,
    is_healthy,
    links_of,
    next_epoch,
    propose,
    statuses,
    unready,
)
from mesh.fleet.view import NodeView, View
from mesh.ids import Epoch, ModelId, NodeId, PlanId
from mesh.model.tensor import LayerRange
from mesh.planning import PlanLink, PlanNode, Problem, evaluate, explain, solve
from mesh.planning.pieces import PieceMemory, Pieces
from mesh.planning.wishes import Wishes
from mesh.testing.documents import sample_stage
from mesh.wire import codec
from mesh.wire.documents import (
    MAX_DOCUMENT_BYTES,
    Plan,
    PlanPhase,
    PlansDocument,
    StagesDocument,
    StageState,
    StageStatus,
)

A, B, C = (NodeId(letter * 16) for letter in "abc")
MODEL, OTHER_MODEL = ModelId("0" * 64), ModelId("1" * 64)
PIECES = Pieces(
    boundaries=(0, 2, 5),
    boundary_bytes=(0, 0, 0),
    memory={"litert": PieceMemory(piece_bytes=(1, 1), stage_bytes=0)},
)
FACTS = ModelFacts(model_id=MODEL, name="m", wishes=Wishes(), pieces=PIECES)


def a_plan(*nodes: NodeId, epoch: int = 1, bottleneck_s: float = 0.1) -> Plan:
    return Plan(
        plan_id=PlanId(f"{epoch:016x}"),
        epoch=Epoch(epoch),
        model_id=MODEL,
        phase=PlanPhase.LIVE,
        stages=tuple(
            sample_stage(node_id, start=i, stop=i + 1, compute_s=0.1, transfer_s=0.0)
            for i, node_id in enumerate(nodes)
        ),
        bottleneck_s=bottleneck_s,
        bottleneck="",
        latency_s=0.1,
        single_node=None,
        single_node_s=None,
        verdict="",
    )


def reporting(plan: Plan, stage: int, state: StageState, error: str | None = None) -> NodeView:
    status = StageStatus(
        plan_id=plan.plan_id,
        epoch=plan.epoch,
        model_id=MODEL,
        stage=stage,
        state=state,
        error=error,
    )
    return NodeView(stages=StagesDocument(stages=(status,)))


def a_problem(layer_s: float = 0.1) -> Problem:
    nodes = [
        PlanNode(node_id=node_id, layer_s=(layer_s,) * 2, stage_s=0.0, memory_bytes=10)
        for node_id in (A, B)
    ]
    link = PlanLink(goodput_bytes_per_s=1e9, message_s=0.0)
    return Problem(
        nodes=tuple(nodes),
        layer_memory_bytes=(1, 1),
        boundary_bytes=(0, 0, 0),
        links={(A, B): link, (B, A): link},
        gateway=A,
        max_replicas=1,
    )


def proposed(problem: Problem, epoch: int = 1) -> Plan:
    solution = solve(problem)
    return propose(FACTS, solution, explain(problem, solution), epoch=Epoch(epoch))


def test_a_plan_speaks_of_operators_not_of_pieces() -> None:
    plan = proposed(a_problem())
    assert [(stage.start, stage.stop) for stage in plan.stages] == [(0, 2), (2, 5)]
    assert plan.phase is PlanPhase.PREPARING
    assert plan.bottleneck_s == pytest.approx(0.1)
    assert plan.single_node_s == pytest.approx(0.2)
    assert plan.single_node in (A, B)


def test_a_plans_id_is_that_of_its_content() -> None:
    assert proposed(a_problem()) == proposed(a_problem())
    assert proposed(a_problem()).plan_id != proposed(a_problem(), epoch=2).plan_id


def test_a_model_measured_as_taking_no_time_still_has_a_plan() -> None:
    assert proposed(a_problem(layer_s=0.0)).bottleneck_s > 0


def test_the_next_epoch_is_above_all_that_anybody_says() -> None:
    view: View = {
        A: NodeView(plans=PlansDocument(lease_term=1, plans=(a_plan(A, epoch=4),))),
        B: NodeView(
            plans=PlansDocument(
                lease_term=1, plans=(replace(a_plan(A, epoch=9), model_id=OTHER_MODEL),)
            )
        ),
        C: NodeView(),
    }
    assert next_epoch({}, MODEL, None) == 1
    assert next_epoch(view, MODEL, None) == 5
    assert next_epoch(view, MODEL, a_plan(A, epoch=7)) == 8


def test_a_plan_is_healthy_while_all_its_nodes_are_ready() -> None:
    assert is_healthy(a_plan(A, B), [A, B, C])
    assert not is_healthy(a_plan(A, B), [A, C])


def test_stages_that_are_reported_for_the_plan_count() -> None:
    plan, other = a_plan(A, B), a_plan(A, B, epoch=2)
    view = {
        A: reporting(plan, 0, StageState.READY),
        B: reporting(other, 1, StageState.READY),
        C: reporting(plan, 1, StageState.READY),  # not its stage
    }
    assert statuses(view, plan).keys() == {(0, A)}
    assert unready(view, plan) == (B,)
    assert unready({**view, B: reporting(plan, 1, StageState.LOADING)}, plan) == (B,)
    assert unready({**view, B: reporting(plan, 1, StageState.READY)}, plan) == ()


def test_nodes_that_gave_up_say_why() -> None:
    plan = a_plan(A, B)
    view = {
        A: reporting(plan, 0, StageState.FAILED, "no memory"),
        B: reporting(plan, 1, StageState.FAILED),
    }
    assert broken(view, plan) == {A: "no memory", B: "its stage failed"}
    assert broken(view, None) == {}
    assert broken(view, a_plan(A, B, epoch=2)) == {}


def replicated() -> Plan:
    """One stage on A and B, one on C."""
    stages = (sample_stage(A, B, start=0, stop=1), sample_stage(C, start=1, stop=2))
    return replace(a_plan(A), stages=stages)


def test_every_replica_counts_for_itself() -> None:
    plan = replicated()
    view = {
        A: reporting(plan, 0, StageState.READY),
        B: reporting(plan, 0, StageState.FAILED, "no memory"),
        C: reporting(plan, 1, StageState.LOADING),
    }
    assert unready(view, plan) == (B, C)
    assert broken(view, plan) == {B: "no memory"}
    assert not is_healthy(plan, [A, C])
    assert is_healthy(plan, [A, B, C])


def test_a_plan_tells_each_replicas_figures_and_why_it_was_proposed() -> None:
    """Two nodes that can keep up with any link share the whole model."""
    problem = a_problem()
    solution = evaluate(problem, [((A, B), LayerRange(start=0, stop=2))])
    plan = propose(
        FACTS, solution, explain(problem, solution), epoch=Epoch(3), reason="C joined" + "!" * 999
    )
    (stage,) = plan.stages
    assert (stage.start, stage.stop, stage.node_ids) == (0, 5, (A, B))
    assert [one.share for one in stage.replicas] == [0.5, 0.5]
    assert [one.compute_s for one in stage.replicas] == pytest.approx([0.2, 0.2])
    assert plan.bottleneck_s == pytest.approx(0.1)
    assert plan.reason.startswith("C joined!")
    assert len(plan.reason) == 512
    assert (plan.optimal, plan.gap) == (solution.optimal, solution.gap)


def test_words_with_long_names_of_nodes_stay_within_what_others_read() -> None:
    problem = a_problem()
    named = tuple(replace(one, name="n" * codec.MAX_TEXT_CHARS) for one in problem.nodes)
    plan = proposed(replace(problem, nodes=named))
    document = PlansDocument(lease_term=1, plans=(plan,))
    payload = codec.encode(document)
    assert codec.decode(PlansDocument, payload, max_bytes=MAX_DOCUMENT_BYTES) == document


def test_the_links_of_a_plan_go_from_the_gateway_and_back() -> None:
    plan = replace(
        a_plan(A), stages=(sample_stage(A, start=0, stop=2), sample_stage(B, C, start=2, stop=5))
    )
    links = [(one.cut, one.sender, one.receiver) for one in links_of(plan, A)]
    assert links == [(2, A, B), (2, A, C), (5, B, A), (5, C, A)]
    assert (0, C, A) in [(one.cut, one.sender, one.receiver) for one in links_of(plan, C)]


def test_what_a_live_plan_holds_on_each_node() -> None:
    plan = a_plan(A, B)
    told = [
        StageStatus(
            plan_id=plan.plan_id,
            epoch=plan.epoch,
            model_id=MODEL,
            stage=0,
            state=StageState.READY,
            resident_bytes=5,
        )
    ]
    view: View = {A: NodeView(stages=StagesDocument(stages=tuple(told)))}
    assert held_by(view, plan) == {A: 5}
    assert held_by(view, None) == held_by({}, plan) == {}
