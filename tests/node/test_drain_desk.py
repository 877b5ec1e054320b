import pytest

from mesh.errors import UsageError
from mesh.ids import Epoch, NodeId, PlanId
from mesh.node.draining import DrainMark
from mesh.testing.documents import sample_plan, sample_stage
from mesh.wire.control import DrainReply, DrainRequest, StillHeld, Verb
from mesh.wire.documents import NodeState, StageState, StageStatus
from tests.node.front_desk import ME, Bench


def drain(bench: Bench, *, undo: bool = False) -> DrainReply:
    reply: DrainReply = bench.ask(Verb.DRAIN, DrainRequest(node_id=ME, undo=undo), DrainReply)
    return reply


def test_a_node_is_left_empty_and_used_again(bench: Bench) -> None:
    assert drain(bench) == DrainReply(node_id=ME, state=NodeState.DRAINING, held=())
    assert bench.roster.draining == {ME}
    assert bench.roster.ready == frozenset()
    assert DrainMark(bench.folder).is_set
    assert drain(bench, undo=True).state is NodeState.READY
    assert bench.roster.ready == {ME}
    assert not DrainMark(bench.folder).is_set


def test_the_others_are_told_at_once_and_once(bench: Bench) -> None:
    for undo in (False, False, True, True):
        drain(bench, undo=undo)
    assert bench.beats == [NodeState.DRAINING, NodeState.READY]


def test_what_is_still_held_is_told(bench: Bench) -> None:
    added = bench.add()
    stage = sample_stage(ME, start=0, stop=1)
    bench.control.adopted[added.model_id] = sample_plan(stage, model_id=added.model_id)
    bench.control.problem = "no node can run it"
    (held,) = drain(bench).held
    assert held == StillHeld(name="tiny", is_live=True, problem="no node can run it")


def test_a_stage_of_a_replaced_plan_is_still_held(bench: Bench) -> None:
    added = bench.add()
    bench.stages.held = (
        StageStatus(
            plan_id=PlanId("1" * 16),
            epoch=Epoch(1),
            model_id=added.model_id,
            stage=0,
            state=StageState.READY,
        ),
    )
    assert drain(bench).held == (StillHeld(name="tiny", is_live=False, problem=None),)


def test_a_plan_of_other_nodes_is_none_of_its_business(bench: Bench) -> None:
    added = bench.add()
    stage = sample_stage(NodeId("f" * 16), start=0, stop=1)
    bench.control.adopted[added.model_id] = sample_plan(stage, model_id=added.model_id)
    assert drain(bench).held == ()


def test_a_request_for_another_node_is_refused(bench: Bench) -> None:
    with pytest.raises(UsageError, match="send it to that node's broker"):
        bench.ask(Verb.DRAIN, DrainRequest(node_id=NodeId("f" * 16)), DrainReply)
    assert bench.roster.draining == frozenset()


def test_a_node_that_is_not_up_yet_drains_when_it_is(bench: Bench) -> None:
    bench.roster.state = NodeState.INIT
    assert drain(bench).state is NodeState.INIT
    assert DrainMark(bench.folder).state is NodeState.DRAINING
