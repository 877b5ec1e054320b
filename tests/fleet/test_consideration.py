"""When to plan is tried out in full in test_coordinator.py; here is what a question holds."""

from dataclasses import replace

import pytest

from mesh.fleet.consideration import consider, watch_paces
from mesh.fleet.plans import ModelFacts
from mesh.fleet.track import Phase, Situation, Solve, Track
from mesh.fleet.view import NodeView
from mesh.ids import ModelId, NodeId
from mesh.planning.pieces import PieceMemory, Pieces
from mesh.planning.wishes import Wishes
from mesh.testing.documents import sample_advert, sample_plan, sample_stage
from mesh.wire.documents import HoldingsDocument, Plan, StagesDocument, StageState, StageStatus
from mesh.wire.measured import CapabilityDocument, Link, LinksDocument

A, B = NodeId("a" * 16), NodeId("b" * 16)
MODEL = ModelId("0" * 64)
PIECES = Pieces(
    boundaries=(0, 2),
    boundary_bytes=(0, 0),
    memory={"litert": PieceMemory(piece_bytes=(1,), stage_bytes=0)},
)
LIVE = sample_plan(sample_stage(A, start=0, stop=2), model_id=MODEL)


def a_node(node_id: NodeId, peer: NodeId, *, cores: float = 1.0, held_bytes: int = 0) -> NodeView:
    status = StageStatus(
        plan_id=LIVE.plan_id,
        epoch=LIVE.epoch,
        model_id=MODEL,
        stage=0,
        state=StageState.READY,
        resident_bytes=held_bytes,
    )
    return NodeView(
        advert=sample_advert(
            node_id, name=node_id[0], host_id=node_id, host_cores=cores, memory_bytes=1 << 30
        ),
        holdings=HoldingsDocument(held=(MODEL,)),
        capabilities={
            MODEL: CapabilityDocument(
                model_id=MODEL,
                kernel_class="k",
                threads=1,
                boundaries=PIECES.boundaries,
                layer_s=(0.1,),
                stage_s=0.0,
            )
        },
        links=LinksDocument(links=(Link(peer=peer, goodput_bytes_per_s=1e8, message_s=0.001),)),
        stages=StagesDocument(stages=(status,) if held_bytes else ()),
    )


def situation(*, live: Plan | None = LIVE, cores: float = 1.0, now_s: float = 0.0) -> Situation:
    return Situation(
        facts=ModelFacts(model_id=MODEL, name="m", wishes=Wishes(), pieces=PIECES),
        view={A: a_node(A, B, cores=cores, held_bytes=100 << 20), B: a_node(B, A)},
        live=live,
        ready=frozenset({A, B}),
        draining=frozenset(),
        conditions={},
        me=A,
        now_s=now_s,
    )


def asked(track: Track, now: Situation) -> tuple[Track, Solve]:
    track, instruction = consider(watch_paces(track, now), now)
    assert isinstance(instruction, Solve)
    return track, instruction


def test_a_question_leaves_room_for_what_the_live_plan_holds() -> None:
    track, question = asked(Track(), situation())
    assert track.phase is Phase.SOLVING
    assert question.live == LIVE
    assert question.roomy is not None
    memory = {node.node_id: node.memory_bytes for node in question.roomy.nodes}
    assert memory == {A: (1 << 30) - (100 << 20), B: 1 << 30}
    assert {node.memory_bytes for node in question.problem.nodes} == {1 << 30}
    assert question.may_crowd


def test_without_a_live_plan_there_is_one_question() -> None:
    _, question = asked(Track(), situation(live=None))
    assert question.roomy is None


def test_a_quota_that_changed_is_drift() -> None:
    first, _ = asked(Track(), situation())
    settled = replace(first, phase=Phase.LIVE)
    assert consider(settled, situation(now_s=5.0)) == (settled, None)
    again, question = asked(settled, situation(cores=1 / 3, now_s=5.0))
    assert again.causes == {A}
    assert again.reason == "a has 0.333 processor cores instead of 1"
    assert not question.may_crowd
    (slowed,) = [node for node in question.problem.nodes if node.node_id == A]
    assert slowed.times_s == pytest.approx((0.3,))


def test_within_a_minute_of_the_last_switch_drift_waits() -> None:
    first, _ = asked(Track(), situation())
    switched = replace(first, phase=Phase.LIVE, switched_s=0.0, switched_for=frozenset({A}))
    now = situation(cores=1 / 3, now_s=30.0)
    waiting, instruction = consider(switched, now)
    assert instruction is None
    assert waiting.basis == switched.basis
    asked(waiting, replace(now, now_s=60.0))
