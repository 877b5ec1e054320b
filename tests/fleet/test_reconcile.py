from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.fleet.reconcile import (
    LONGEST_S,
    SLACK,
    Changes,
    StageKey,
    adopt,
    changes,
    newer,
    preparing,
    under_way_s,
)
from mesh.fleet.view import NodeView, View
from mesh.ids import Epoch, ModelId, NodeId, PlanId
from mesh.testing.documents import sample_plan, sample_stage
from mesh.wire.documents import Plan, PlanPhase, PlansDocument

A, B, C = (NodeId(letter * 16) for letter in "abc")
MODEL, OTHER_MODEL = ModelId("0" * 64), ModelId("1" * 64)
LIVE, PREPARING = PlanPhase.LIVE, PlanPhase.PREPARING


def a_plan(
    epoch: int, *nodes: NodeId, phase: PlanPhase = LIVE, model_id: ModelId = MODEL, tag: str = "0"
) -> Plan:
    return Plan(
        plan_id=PlanId(f"{epoch:015x}{tag}"),
        epoch=Epoch(epoch),
        model_id=model_id,
        phase=phase,
        stages=tuple(
            sample_stage(node_id, start=i, stop=i + 1, compute_s=0.1, transfer_s=0.0)
            for i, node_id in enumerate(nodes or (A,))
        ),
        bottleneck_s=0.1,
        bottleneck="",
        latency_s=0.1,
        single_node=None,
        single_node_s=None,
        verdict="",
    )


def saying(*plans: Plan) -> NodeView:
    return NodeView(plans=PlansDocument(lease_term=1, plans=plans))


def key(plan: Plan, stage: int) -> StageKey:
    return StageKey(plan_id=plan.plan_id, stage=stage)


plans = st.builds(
    a_plan,
    st.integers(1, 3),
    phase=st.sampled_from(PlanPhase),
    model_id=st.sampled_from([MODEL, OTHER_MODEL]),
    tag=st.sampled_from("01"),
)
views = st.dictionaries(
    st.sampled_from([A, B, C]), st.lists(plans, max_size=3).map(lambda some: saying(*some))
)


def test_the_higher_epoch_is_newer_and_then_the_greater_id() -> None:
    assert newer(a_plan(1), None)
    assert newer(a_plan(2), a_plan(1, tag="9"))
    assert newer(a_plan(2, tag="1"), a_plan(2))
    assert not newer(a_plan(2), a_plan(2))


def test_the_newest_live_plan_that_a_present_node_knows_is_adopted() -> None:
    view = {
        A: saying(a_plan(1)),
        B: saying(a_plan(2), a_plan(4, phase=PREPARING)),
        C: saying(a_plan(3)),
    }
    assert adopt({}, view, present=[A, B], served=[MODEL]) == {MODEL: a_plan(2)}


def test_an_adopted_plan_stays_when_those_who_said_it_are_gone() -> None:
    adopted = {MODEL: a_plan(5)}
    assert adopt(adopted, {A: saying(a_plan(1))}, present=[A], served=[MODEL]) == adopted


def test_a_model_that_is_no_longer_served_has_no_plan() -> None:
    adopted = {MODEL: a_plan(5)}
    assert adopt(adopted, {A: saying(a_plan(6))}, present=[A], served=[]) == {}


@given(views, st.permutations([A, B, C]))
def test_all_who_hear_the_same_adopt_the_same(view: View, order: list[NodeId]) -> None:
    served = [MODEL, OTHER_MODEL]
    one = adopt({}, view, present=[A, B, C], served=served)
    assert adopt({}, view, present=order, served=served) == one
    # … whatever they heard first, and adopting again changes nothing.
    first = adopt({}, view, present=order[:1], served=served)
    assert adopt(first, view, present=order, served=served) == one
    assert adopt(one, view, present=order, served=served) == one


@given(views)
def test_adopting_never_goes_back(view: View) -> None:
    before = {MODEL: a_plan(2, tag="0")}
    after = adopt(before, view, present=[A, B, C], served=[MODEL])
    assert not newer(before[MODEL], after[MODEL])


def test_only_the_coordinator_says_what_to_make_ready() -> None:
    plan = a_plan(2, phase=PREPARING)
    view = {A: saying(plan, a_plan(1)), B: saying(a_plan(3, phase=PREPARING))}
    assert preparing(view, A, {MODEL: a_plan(1)}) == (plan,)
    assert preparing(view, A, {MODEL: a_plan(2, tag="f")}) == ()
    assert preparing(view, None, {}) == ()
    assert preparing(view, C, {}) == ()


def test_a_node_loads_its_stages_and_lets_go_of_others() -> None:
    old, new = a_plan(1, A), a_plan(2, B, A)
    assert changes([new], me=A, held=[key(old, 0)], lingering=[]) == Changes(
        load=((new, 1),), unload=(key(old, 0),)
    )


def test_stages_that_linger_or_are_held_stay() -> None:
    old, new = a_plan(1, A), a_plan(2, A, B)
    held = [key(old, 0), key(new, 0)]
    assert changes([new], me=A, held=held, lingering=[key(old, 0)]) == Changes(load=(), unload=())


def test_a_plan_that_goes_live_is_not_loaded_again() -> None:
    plan = a_plan(2, A, phase=PREPARING)
    live = replace(plan, phase=LIVE)
    assert changes([live], me=A, held=[key(plan, 0)], lingering=[]) == Changes(load=(), unload=())


@given(
    st.lists(
        st.builds(
            lambda epoch, nodes: a_plan(epoch, *nodes),
            st.integers(1, 3),
            st.lists(st.sampled_from([A, B, C]), min_size=1, max_size=3),
        ),
        max_size=3,
        unique_by=lambda plan: plan.plan_id,
    ),
    st.sets(
        st.builds(key, st.integers(1, 4).map(a_plan), st.integers(0, 2)),
        max_size=5,
    ),
)
def test_doing_what_is_missing_leaves_nothing_to_do(
    wanted: list[Plan], held: set[StageKey]
) -> None:
    todo = changes(wanted, me=A, held=held, lingering=[])
    assert not set(todo.unload) - held
    then = (held - set(todo.unload)) | {key(plan, stage) for plan, stage in todo.load}
    assert changes(wanted, me=A, held=then, lingering=[]) == Changes(load=(), unload=())
    mine = {key(p, i) for p in wanted for i, stage in enumerate(p.stages) if A in stage.node_ids}
    assert then == mine


def test_a_replaced_plan_stays_for_as_long_as_its_requests_may_take() -> None:
    quick = sample_plan(sample_stage(A, start=0, stop=1), latency_s=0.05, bottleneck_s=0.05)
    slow = sample_plan(
        sample_stage(A, start=0, stop=1),
        sample_stage(B, start=1, stop=2),
        latency_s=6.0,
        bottleneck_s=3.0,
    )
    assert under_way_s(quick) == pytest.approx(SLACK * 0.15)
    assert under_way_s(slow) == pytest.approx(SLACK * 18)
    assert under_way_s(replace(slow, bottleneck_s=1e6)) == LONGEST_S
