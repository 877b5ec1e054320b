from dataclasses import replace

from mesh.fleet.plans import ModelFacts
from mesh.fleet.preparation import PREPARE_S, barring, watch_preparation
from mesh.fleet.track import Basis, Check, Instruction, Phase, Situation, Track
from mesh.fleet.view import NodeView
from mesh.ids import Epoch, ModelId, NodeId
from mesh.planning.pieces import PieceMemory, Pieces
from mesh.planning.wishes import Wishes
from mesh.testing.documents import sample_plan, sample_stage
from mesh.wire.documents import PlanPhase, StagesDocument, StageState, StageStatus

A, B = NodeId("a" * 16), NodeId("b" * 16)
PLAN = sample_plan(
    sample_stage(A, start=0, stop=1),
    sample_stage(B, start=1, stop=2),
    phase=PlanPhase.PREPARING,
    epoch=Epoch(2),
)
BASIS = Basis(nodes=(A, B), wishes=Wishes(), kernels=(), linked=())
PREPARING = Track(phase=Phase.PREPARING, next_plan=PLAN, since_s=10.0, basis=BASIS)


def a_node(stage: int, state: StageState) -> NodeView:
    status = StageStatus(
        plan_id=PLAN.plan_id,
        epoch=PLAN.epoch,
        model_id=PLAN.model_id,
        stage=stage,
        state=state,
        error="no memory" if state is StageState.FAILED else None,
    )
    return NodeView(stages=StagesDocument(stages=(status,)))


def situation(second: StageState = StageState.READY, *, now_s: float = 12.0) -> Situation:
    pieces = Pieces(
        boundaries=(0, 2),
        boundary_bytes=(0, 0),
        memory={"litert": PieceMemory(piece_bytes=(1,), stage_bytes=0)},
    )
    return Situation(
        facts=ModelFacts(model_id=ModelId("0" * 64), name="m", wishes=Wishes(), pieces=pieces),
        view={A: a_node(0, StageState.READY), B: a_node(1, second)},
        live=None,
        ready=frozenset({A, B}),
        draining=frozenset(),
        conditions={},
        me=A,
        now_s=now_s,
    )


def watch(now: Situation) -> tuple[Track, Instruction | None]:
    return watch_preparation(PREPARING, PLAN, now)


def test_a_plan_is_checked_when_all_its_stages_are_ready() -> None:
    track, instruction = watch(situation())
    assert instruction == Check(plan=PLAN)
    assert (track.phase, track.prepared_s) == (Phase.CHECKING, 2.0)
    assert watch_preparation(track, PLAN, situation()) == (track, None)


def test_a_stage_that_loads_is_waited_for() -> None:
    assert watch(situation(StageState.LOADING)) == (PREPARING, None)


def test_a_stage_that_loads_for_too_long_bars_its_node() -> None:
    track, _ = watch(situation(StageState.LOADING, now_s=10.1 + PREPARE_S))
    assert (track.phase, track.next_plan, track.basis) == (Phase.UNPLANNED, None, None)
    assert track.barred.keys() == {B}
    assert "not loaded within" in str(track.barred[B])


def test_a_stage_that_fails_bars_its_node() -> None:
    track, _ = watch(situation(StageState.FAILED))
    assert "no memory" in str(track.barred[B])


def test_a_plan_is_given_up_when_a_node_of_it_leaves_or_is_to_be_empty() -> None:
    for ready in ({A}, set[NodeId]()):
        track, instruction = watch(replace(situation(), ready=frozenset(ready)))
        assert (track.next_plan, track.basis, instruction) == (None, None, None)
        assert not track.barred


def test_a_plan_is_given_up_when_a_newer_one_is_live() -> None:
    newer = replace(PLAN, epoch=Epoch(3), phase=PlanPhase.LIVE)
    assert watch(replace(situation(), live=newer))[0].next_plan is None


def test_bars_of_nodes_that_left_are_lifted() -> None:
    barred = barring(PREPARING, {B: "why"}, situation())
    assert barred.barred.keys() == barred.records.keys() == {B}
    alone = replace(situation(), ready=frozenset({A}))
    assert barring(barred, {}, alone).barred == {}
