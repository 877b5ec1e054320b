from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.planning import Problem, evaluate, solve
from mesh.planning.search.gateway import least_work_s, relieved

MakeProblem: TypeAlias = Callable[..., Problem]

ME = NodeId("a")


@pytest.fixture
def busy(simple_problem: MakeProblem) -> Problem:
    """Three equal boards of one core; requests cost the one that is asked almost all of it."""
    problem = simple_problem(dict.fromkeys("abc", 0.1), gateway=ME, gateway_request_cpu_s=0.3)
    nodes = tuple(
        replace(node, host_id=f"box-{node.node_id}", message_cpu_s=0.02) for node in problem.nodes
    )
    return replace(problem, nodes=nodes)


def test_every_plan_takes_the_gateway_at_least_its_requests(busy: Problem) -> None:
    assert least_work_s(busy) == pytest.approx(0.3)
    idle = relieved(busy)
    assert idle is not None
    assert least_work_s(idle) == pytest.approx(0.3 + 2 * 0.02)
    assert least_work_s(idle) <= solve(idle).bottleneck_s * (1 + 1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"gateway_request_cpu_s": 0.0},
        {"gateway": NodeId("elsewhere")},
        {"required": frozenset({ME})},
    ],
)
def test_there_is_no_need_to_relieve_it(busy: Problem, changes: dict[str, object]) -> None:
    assert relieved(replace(busy, **changes)) is None  # type: ignore[arg-type]


def test_one_that_runs_nothing_is_relieved_already(busy: Problem) -> None:
    idle = relieved(busy)
    assert idle is not None
    assert relieved(idle) is None


def test_a_busy_gateway_is_left_out_of_the_stages(busy: Problem) -> None:
    found = solve(busy, budget_s=0.02)
    assert set(found.node_ids) == {"b", "c"}
    all_three = evaluate(
        busy, [(tuple(node.node_id for node in busy.nodes), found.stages[0].layers)]
    )
    assert found.bottleneck_s < all_three.bottleneck_s
