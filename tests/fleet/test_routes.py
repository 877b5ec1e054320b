import pytest

from mesh.fleet.routes import Route, find_route, whole_route
from mesh.fleet.view import NodeView, View
from mesh.ids import NodeId
from mesh.testing.documents import sample_plan, sample_stage
from mesh.wire.documents import StagesDocument, StageState, StageStatus

A, B, C = (NodeId(letter * 16) for letter in "abc")
PLAN = sample_plan(sample_stage(A, B, start=0, stop=1), sample_stage(C, start=1, stop=2))
READY, LOADING, FAILED = StageState.READY, StageState.LOADING, StageState.FAILED


def saying(stage: int, state: StageState) -> NodeView:
    status = StageStatus(
        plan_id=PLAN.plan_id, epoch=PLAN.epoch, model_id=PLAN.model_id, stage=stage, state=state
    )
    return NodeView(stages=StagesDocument(stages=(status,)))


def view_of(**states: StageState) -> View:
    return {NodeId(name * 16): saying(int(name == "c"), state) for name, state in states.items()}


def usable(view: View, *gone: NodeId, suspect: tuple[NodeId, ...] = ()) -> set[NodeId] | None:
    """The usable replicas of the first stage."""
    route = find_route(view, PLAN, present={A, B, C}.difference(gone), suspect=suspect)
    return set(route.usable[0]) if route is not None else None


ALL_READY = view_of(a=READY, b=READY, c=READY)


def test_all_replicas_that_are_ready_are_used() -> None:
    assert find_route(ALL_READY, PLAN, present=[A, B, C]) == whole_route(PLAN)


def test_a_lost_or_suspect_replica_is_passed_by() -> None:
    assert usable(ALL_READY, B) == {A}
    assert usable(ALL_READY, suspect=(A,)) == {B}


def test_who_is_suspect_is_used_where_there_is_nobody_else() -> None:
    assert usable(ALL_READY, B, suspect=(A,)) == {A}
    route = find_route(ALL_READY, PLAN, present=[A, B, C], suspect=[C])
    assert route is not None
    assert route.usable[1] == {C}


@pytest.mark.parametrize("state", [LOADING, FAILED])
def test_a_replica_that_is_not_loaded_is_passed_by_while_another_one_is(state: StageState) -> None:
    assert usable(view_of(a=state, b=READY, c=READY)) == {B}


def test_what_is_loading_is_used_where_nothing_is_ready() -> None:
    """A stage that starts again takes frames already."""
    assert usable(view_of(a=LOADING, b=FAILED, c=READY)) == {A}
    assert usable(view_of(c=READY)) == {A, B}, "they have not said anything yet"


def test_a_stage_without_any_replica_ends_the_route() -> None:
    assert usable(ALL_READY, A, B) is None
    assert usable(ALL_READY, C) is None
    assert usable(view_of(a=FAILED, b=FAILED, c=READY)) is None


def test_shares_are_those_of_the_usable_replicas() -> None:
    assert whole_route(PLAN).shares(0) == {A: 0.5, B: 0.5}
    route = find_route(ALL_READY, PLAN, present=[B, C])
    assert route is not None
    assert route.shares(0) == {B: 0.5}


@pytest.mark.parametrize("usable", [(), (frozenset({A}),), (frozenset({A}), frozenset())])
def test_a_route_without_a_node_for_each_stage_is_none(
    usable: tuple[frozenset[NodeId], ...],
) -> None:
    with pytest.raises(ValueError, match="usable node for each stage"):
        Route(plan=PLAN, usable=usable)
