from dataclasses import replace

import pytest

from mesh.fleet.drift import HARD
from mesh.fleet.switching import (
    DWELL_S,
    HORIZON_S,
    LEAST_GAIN,
    LEAST_GAIN_OF_DRIFT,
    causes_of,
    is_worthwhile,
    may_switch,
)
from mesh.fleet.track import Basis, Track
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import (
    Bottleneck,
    BottleneckKind,
    Objective,
    PlannedReplica,
    PlannedStage,
    Solution,
)
from mesh.planning.wishes import Wishes

A, B, C = (NodeId(letter * 16) for letter in "abc")


def a_solution(*stages: tuple[NodeId, ...], period_s: float = 0.1, share: float = 0) -> Solution:
    """One layer for each stage."""
    return Solution(
        stages=tuple(
            PlannedStage(
                layers=LayerRange(start=i, stop=i + 1),
                replicas=tuple(
                    PlannedReplica(
                        node_id=node_id,
                        share=share or 1 / len(nodes),
                        compute_s=period_s,
                        receive_s=0.0,
                        send_s=0.0,
                        pace_s=period_s,
                        memory_bytes=1,
                    )
                    for node_id in nodes
                ),
                period_s=period_s,
            )
            for i, nodes in enumerate(stages)
        ),
        exit_s=0.0,
        bottleneck_s=period_s,
        latency_s=period_s * len(stages),
        bottleneck=Bottleneck(kind=BottleneckKind.COMPUTE, node_ids=(A,)),
    )


LIVE = a_solution((A,))


def is_worth(
    found: Solution,
    live: Solution | None = LIVE,
    *,
    objective: Objective = Objective.THROUGHPUT,
    is_drift: bool = False,
    cost_s: float = 0.0,
) -> bool:
    return is_worthwhile(objective, found, live, is_drift=is_drift, cost_s=cost_s)


def test_a_live_plan_that_is_not_allowed_any_more_is_left() -> None:
    assert is_worth(a_solution((B,), period_s=9.0), None)


@pytest.mark.parametrize(
    ("found", "is_so"),
    [
        (a_solution((A,), period_s=0.01), False),  # the same layout, measured again
        (a_solution((B,)), False),
        (a_solution((B,), period_s=0.1 / LEAST_GAIN + 0.001), False),
        (a_solution((B,), period_s=0.1 / LEAST_GAIN - 0.001), True),
        (a_solution((A, B), period_s=0.01), True),  # another replica is another layout
    ],
)
def test_a_gain_is_worth_a_switch(found: Solution, is_so: bool) -> None:
    assert is_worth(found) is is_so


def test_other_shares_are_no_other_layout() -> None:
    live = a_solution((A, B), period_s=0.1)
    assert not is_worth(a_solution((A, B), period_s=0.01, share=0.7), live)


def test_for_drift_the_gain_must_be_greater_and_pay_for_the_switch() -> None:
    found = a_solution((B,), period_s=0.1 / (LEAST_GAIN_OF_DRIFT + 0.01))
    assert is_worth(found, is_drift=True)
    assert not is_worth(found, is_drift=True, cost_s=HORIZON_S / 10)
    assert not is_worth(a_solution((B,), period_s=0.1 / 1.06), is_drift=True)
    assert is_worth(a_solution((B,), period_s=0.1 / 1.06))


def test_where_latency_counts_the_period_does_not() -> None:
    live = a_solution((A,), (B,), period_s=0.1)
    sooner = a_solution((C,), period_s=0.15)
    assert is_worth(sooner, live, objective=Objective.LATENCY)
    assert not is_worth(sooner, live)


def a_basis(nodes: tuple[NodeId, ...] = (A, B), **paces: float) -> Basis:
    return Basis(
        nodes=nodes,
        wishes=Wishes(),
        kernels=(),
        linked=(),
        paces=tuple((n, paces.get(n[0], 1.0)) for n in nodes),
    )


def test_only_drift_has_causes() -> None:
    assert causes_of(a_basis(), a_basis(a=2.0)) == {A}
    assert causes_of(a_basis(a=2.0), a_basis(b=2.0)) == {A, B}
    assert causes_of(a_basis(), a_basis()) == frozenset()
    assert causes_of(None, a_basis(a=2.0)) == frozenset()
    assert causes_of(a_basis(), a_basis((A, B, C), a=2.0)) == frozenset()


def test_drift_causes_one_switch_a_minute() -> None:
    now = a_basis(a=1.5)
    assert may_switch(Track(basis=a_basis()), frozenset({A}), now, now_s=5.0)
    track = Track(basis=a_basis(), switched_s=0.0, switched_for=frozenset({A}))
    assert not may_switch(track, frozenset({A}), now, now_s=DWELL_S - 1)
    assert may_switch(track, frozenset({A}), now, now_s=DWELL_S)


def test_another_node_that_became_much_slower_does_not_wait() -> None:
    track = Track(basis=a_basis(), switched_s=0.0, switched_for=frozenset({A}))
    assert may_switch(track, frozenset({B}), a_basis(b=HARD), now_s=5.0)
    assert not may_switch(track, frozenset({B}), a_basis(b=HARD - 0.1), now_s=5.0)
    assert not may_switch(track, frozenset({A}), a_basis(a=HARD), now_s=5.0)
    assert not may_switch(track, frozenset({A, B}), a_basis(a=0.5, b=HARD), now_s=5.0)


def test_a_node_that_became_faster_waits() -> None:
    track = Track(basis=a_basis(b=9.0), switched_s=0.0, switched_for=frozenset({A}))
    assert not may_switch(track, frozenset({B}), a_basis(), now_s=5.0)


def test_a_link_that_drifted_waits_for_its_minute_however_slow_it_is() -> None:
    now = replace(a_basis(), paths=(((A, B), 9.0),))
    causes = causes_of(a_basis(), now)
    assert causes == {(A, B)}
    track = Track(basis=a_basis(), switched_s=0.0, switched_for=frozenset({C}))
    assert not may_switch(track, causes, now, now_s=DWELL_S - 1)
    assert may_switch(track, causes, now, now_s=DWELL_S)
