from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mesh.fleet.routes import Route, whole_route
from mesh.ids import NodeId, RequestKey
from mesh.pipeline.replica_choice import Turns
from mesh.pipeline.ways import (
    MAX_WAY,
    NO_WAY,
    covering,
    is_replicated,
    node_on,
    nodes_on,
    open_ways,
    retry_way,
)
from mesh.testing.documents import sample_plan, sample_stage
from mesh.wire.documents import Plan


def a_plan(*counts: int) -> Plan:
    """Stages of so many replicas each."""
    numbers = iter(range(1000))
    stages = (
        sample_stage(*(NodeId(f"{next(numbers):016x}") for _ in range(count)), start=i, stop=i + 1)
        for i, count in enumerate(counts)
    )
    return sample_plan(*stages)


plans = st.lists(st.integers(1, 9), min_size=1, max_size=5).map(lambda counts: a_plan(*counts))


def test_a_way_names_the_replica_of_its_number_over_and_over() -> None:
    stage = a_plan(3).stages[0]
    assert [node_on(stage, way) for way in range(1, 6)] == [*stage.node_ids, *stage.node_ids[:2]]


def test_without_replicas_there_is_one_way_and_it_is_none() -> None:
    plan = a_plan(1, 1)
    assert not is_replicated(plan)
    assert covering(plan) == (NO_WAY,)
    assert open_ways(whole_route(plan)) == {NO_WAY: 1.0}
    assert nodes_on(plan, NO_WAY) == plan.node_ids
    assert retry_way(plan, RequestKey(b"k" * 16), 2) == NO_WAY


@given(plan=plans)
def test_covering_ways_pass_every_replica_and_are_as_few_as_can_be(plan: Plan) -> None:
    ways = covering(plan)
    assert {node for way in ways for node in nodes_on(plan, way)} == set(plan.node_ids)
    assert len(ways) == max(len(stage.replicas) for stage in plan.stages)


@given(plan=plans, key=st.binary(min_size=16, max_size=16), attempt=st.integers(1, 200))
def test_a_retry_passes_other_replicas_than_the_one_before(
    plan: Plan, key: bytes, attempt: int
) -> None:
    first, second = (retry_way(plan, RequestKey(key), n) for n in (attempt, attempt + 1))
    assert 0 <= first <= MAX_WAY
    if second > first:  # else it began anew at the lowest number
        for stage in plan.stages:
            assert len(stage.replicas) == 1 or node_on(stage, first) != node_on(stage, second)


@given(plan=plans, data=st.data())
def test_open_ways_pass_usable_replicas_alone_and_all_of_them_that_a_way_can(
    plan: Plan, data: st.DataObject
) -> None:
    usable = tuple(
        frozenset(data.draw(st.sets(st.sampled_from(stage.node_ids), min_size=1)))
        for stage in plan.stages
    )
    found = open_ways(Route(plan=plan, usable=usable))
    assert all(0 < weight <= 1 for weight in found.values())
    for way in range(1, MAX_WAY + 1):
        is_open = all(node in usable[i] for i, node in enumerate(nodes_on(plan, way)))
        names_it = {nodes_on(plan, known) for known in found}
        assert (nodes_on(plan, way) in names_it) == is_open


def test_the_ways_of_one_stage_have_the_shares_of_its_replicas() -> None:
    plan = a_plan(4)
    assert open_ways(whole_route(plan)) == {1: 0.25, 2: 0.25, 3: 0.25, 4: 0.25}


def test_shares_of_next_to_nothing_still_make_a_way_that_has_its_turn() -> None:
    tiny, rest = 1e-200, 1 - 1e-200
    stages = tuple(
        replace(
            stage,
            replicas=tuple(
                replace(one, share=share)
                for one, share in zip(stage.replicas, (tiny, rest), strict=True)
            ),
        )
        for stage in a_plan(2, 2).stages
    )
    plan = sample_plan(*stages)
    only = Route(plan=plan, usable=tuple(frozenset(stage.node_ids[:1]) for stage in stages))
    assert Turns[int]().next(open_ways(only)) == 1
