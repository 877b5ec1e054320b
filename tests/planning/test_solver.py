import math
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import (
    Assignment,
    BottleneckKind,
    Objective,
    PlanLink,
    Problem,
    Solution,
    evaluate,
    solve,
)
from mesh.planning.search.best import is_better, rank
from mesh.planning.search.budget import Budget
from mesh.planning.solver import find
from tests.planning.brute_force import best_figures
from tests.planning.random_problems import Size, medium_problem, random_problem

MakeProblem: TypeAlias = Callable[..., Problem]

EQUAL = 1 + 1e-9
BLOCK = 30

seeds = st.integers(min_value=0, max_value=10**9)
some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
a_few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def plan_of(solution: Solution) -> Assignment:
    return [(stage.node_ids, stage.layers) for stage in solution.stages]


def figure(problem: Problem, solution: Solution | None) -> float:
    """What the objective makes least; infinite where there is no plan."""
    return math.inf if solution is None else rank(problem.objective, solution)[0]


def not_worse(problem: Problem, than: Problem) -> bool:
    """Whether the first problem's optimum is at least as good as the second's."""
    return figure(problem, find(problem)) <= figure(than, find(than)) * EQUAL


@pytest.mark.parametrize("block", range(22))
def test_solution_is_as_good_as_what_trying_everything_finds(block: int) -> None:
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        problem = random_problem(seed)
        best, solution = best_figures(problem), find(problem)
        if best is None or solution is None:
            assert (best, solution) == (None, None), seed
            continue
        both = rank(problem.objective, solution)
        assert both == pytest.approx(best.by(problem.objective), rel=1e-9, abs=1e-12), seed
        assert (solution.optimal, solution.gap) == (True, 0.0), seed


@some
@given(seeds)
def test_order_of_nodes_and_links_does_not_matter(seed: int) -> None:
    problem, draw = random_problem(seed), Random(seed)
    nodes, links = list(problem.nodes), list(problem.links.items())
    draw.shuffle(nodes)
    draw.shuffle(links)
    assert find(replace(problem, nodes=tuple(nodes), links=dict(links))) == find(problem)


@a_few
@given(seeds)
def test_order_does_not_matter_where_the_budget_ends_first(seed: int) -> None:
    problem, draw = medium_problem(seed, Size(kinds=6, per_kind=2, layers=20)), Random(seed)
    nodes, links = list(problem.nodes), list(problem.links.items())
    draw.shuffle(nodes)
    draw.shuffle(links)
    other = replace(problem, nodes=tuple(nodes), links=dict(links))
    assert find(other, 0.02) == find(problem, 0.02)


@some
@given(seeds)
def test_another_node_never_hurts(seed: int) -> None:
    problem = random_problem(seed)
    gone = {problem.nodes[0].node_id} - {problem.gateway} - problem.required
    left = tuple(node for node in problem.nodes if node.node_id not in gone)
    assert not_worse(problem, than=replace(problem, nodes=left))


@some
@given(seeds, st.floats(min_value=1.0, max_value=10.0))
def test_a_faster_link_never_hurts(seed: int, factor: float) -> None:
    """But that nodes whose cost of messages is not known pay for a transfer on their own machine."""
    problem = random_problem(seed)
    nodes = tuple(replace(node, host_id="") for node in problem.nodes)
    problem, links = replace(problem, nodes=nodes), dict(problem.links)
    for pair in sorted(links)[:3]:
        slow = links[pair]
        links[pair] = PlanLink(
            goodput_bytes_per_s=slow.goodput_bytes_per_s * factor,
            message_s=slow.message_s / factor,
        )
    assert not_worse(replace(problem, links=links), than=problem)


@some
@given(seeds, st.integers(min_value=0, max_value=20))
def test_more_memory_never_hurts(seed: int, more_bytes: int) -> None:
    problem = random_problem(seed)
    first, *others = problem.nodes
    roomier = replace(first, memory_bytes=first.memory_bytes + more_bytes)
    assert not_worse(replace(problem, nodes=(roomier, *others)), than=problem)


@some
@given(seeds, st.floats(min_value=1.0, max_value=4.0))
def test_a_looser_latency_bound_never_hurts(seed: int, factor: float) -> None:
    problem = replace(random_problem(seed), latency_bound_s=1.5)
    assert not_worse(replace(problem, latency_bound_s=1.5 * factor), than=problem)


@some
@given(seeds)
def test_more_replicas_and_stages_never_hurt(seed: int) -> None:
    problem = random_problem(seed)
    assert not_worse(replace(problem, max_replicas=None, max_stages=None), than=problem)


@some
@given(seeds)
def test_solution_is_what_evaluate_says_of_its_plan(seed: int) -> None:
    problem = random_problem(seed)
    solution = find(problem)
    if solution is not None:
        proven = replace(evaluate(problem, plan_of(solution)), optimal=True, gap=0.0)
        assert proven == solution
        assert solution == find(problem)


@some
@given(seeds)
def test_latency_optimum_is_the_least_bound_that_throughput_can_keep(seed: int) -> None:
    problem = replace(random_problem(seed), latency_bound_s=math.inf, objective=Objective.LATENCY)
    quickest = find(problem)
    if quickest is None or quickest.latency_s == 0:
        return
    bounded = replace(problem, objective=Objective.THROUGHPUT, latency_bound_s=quickest.latency_s)
    assert solve(bounded).latency_s == pytest.approx(quickest.latency_s, rel=1e-9)


MEDIUM = (
    Size(kinds=5, per_kind=1, layers=12),
    Size(kinds=2, per_kind=4, layers=16),
    Size(kinds=6, per_kind=1, layers=16),
)


@pytest.mark.parametrize("size", MEDIUM, ids=lambda it: f"{it.kinds}x{it.per_kind}x{it.layers}")
@pytest.mark.parametrize("objective", list(Objective), ids=lambda it: it.value)
def test_a_larger_budget_is_never_worse_and_each_gap_is_honest(
    size: Size, objective: Objective
) -> None:
    gaps = []
    for seed in range(4):
        problem = replace(medium_problem(seed, size), objective=objective)
        best = solve(problem, 20.0)
        assert best.optimal
        before = math.inf
        for budget_s in (1e-5, 3e-3, 1e-2, 0.1):
            found = solve(problem, budget_s)
            ours, optimum = figure(problem, found), figure(problem, best)
            assert optimum / EQUAL <= ours <= before * EQUAL
            assert (ours - optimum) / ours <= found.gap + 1e-9
            assert found.optimal == (found.gap == 0.0)
            before = ours
            gaps.append(found.gap)
    assert size.kinds < 6 or any(gap > 0 for gap in gaps)


def test_a_gap_is_honest_under_a_latency_bound() -> None:
    for seed in range(4):
        problem = medium_problem(seed, Size(kinds=5, per_kind=1, layers=12))
        least_s = solve(replace(problem, objective=Objective.LATENCY)).latency_s
        bounded = replace(problem, latency_bound_s=1.2 * least_s)
        best = solve(bounded, 20.0)
        assert best.optimal
        assert best.latency_s <= bounded.latency_bound_s * EQUAL
        for budget_s in (1e-3, 1e-2, 0.1):
            found = solve(bounded, budget_s)
            distance = (found.bottleneck_s - best.bottleneck_s) / found.bottleneck_s
            assert -1e-9 <= distance <= found.gap + 1e-9


def test_plans_of_equal_figures_are_told_apart_by_their_own_rules() -> None:
    """A plan that stands before another stands after it from the other's side."""
    for seed in range(60):
        problem = random_problem(seed)
        found, plain = find(problem), find(replace(problem, max_replicas=1))
        if found is not None and plain is not None:
            objective = problem.objective
            assert not is_better(objective, plain, found)
            assert is_better(objective, found, plain) == (plan_of(found) != plan_of(plain))


def test_without_any_plan_the_constraint_is_named(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.12}, latency_bound_s=0.05)
    assert find(problem) is None
    with pytest.raises(InfeasibleError, match="latency bound"):
        solve(problem)


def test_an_exhausted_budget_is_told_where_nothing_is_known(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.12}, latency_bound_s=0.05)
    with pytest.raises(InfeasibleError, match="budget"):
        find(problem, 1e-9)


def test_a_budget_is_shared_by_several_searches() -> None:
    problem, budget = medium_problem(0, MEDIUM[0]), Budget(1.0)
    whole = budget.left
    first = find(problem, budget)
    spent = whole - budget.left
    assert find(problem, budget) == first
    assert 0 < budget.left == pytest.approx(whole - 2 * spent)


def test_equal_nodes_of_awkward_decimals_stay_equal(simple_problem: MakeProblem) -> None:
    """0.1 + 0.2 + 0.3 differs in floats from 0.3 + 0.2 + 0.1."""
    times = (0.1, 0.2, 0.3, 0.3, 0.2, 0.1)
    problem = simple_problem({"a": 1.0, "b": 1.0}, layers=6, gateway=None, boundary_bytes=(0,) * 7)
    nodes = tuple(replace(node, layer_s=times) for node in problem.nodes)
    solution = solve(replace(problem, nodes=nodes, min_stages=2))
    assert solution.node_ids == ("a", "b")
    assert solution.stages[0].compute_s == solution.stages[1].compute_s


def test_a_bound_read_off_a_solution_can_be_kept(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.07, "c": 0.3}, layers=7, objective=Objective.LATENCY)
    best = solve(problem)
    assert solve(replace(problem, latency_bound_s=best.latency_s)) == best


def test_latency_bound_trades_throughput(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.12})
    assert len(solve(problem).node_ids) == 2
    bounded = solve(replace(problem, latency_bound_s=0.43))
    assert plan_of(bounded) == [((NodeId("a"),), LayerRange(start=0, stop=4))]


def test_replicas_take_turns_where_a_cut_would_cost_more(simple_problem: MakeProblem) -> None:
    problem = simple_problem(
        {"a": 0.1, "b": 0.2}, boundary_bytes=(10, *[10_000] * 3, 10), gateway=None
    )
    (stage,) = solve(problem).stages
    assert stage.period_s == pytest.approx(1 / (1 / 0.4 + 1 / 0.8))
    assert [one.share for one in stage.replicas] == pytest.approx([2 / 3, 1 / 3])


def test_gateway_that_hosts_stages_pays_no_entry(simple_problem: MakeProblem) -> None:
    solution = solve(simple_problem({"a": 0.1, "b": 1.0}, gateway=NodeId("a"), max_replicas=1))
    assert solution.stages[0].node_ids == ("a",)
    assert solution.stages[0].transfer_s == 0.0


def shared_machine(simple_problem: MakeProblem, cores: float, **changes: int) -> Problem:
    problem = simple_problem({"a": 0.1, "b": 0.12})
    nodes = tuple(replace(node, host_id="box", host_cores=cores) for node in problem.nodes)
    return replace(problem, nodes=nodes, **changes)  # type: ignore[arg-type]


def test_a_shared_machine_makes_one_node_the_better_choice(simple_problem: MakeProblem) -> None:
    assert len(solve(shared_machine(simple_problem, cores=2)).node_ids) == 2
    assert len(solve(shared_machine(simple_problem, cores=1)).node_ids) == 1


def test_a_forced_pipeline_on_a_shared_machine_is_proven_too(simple_problem: MakeProblem) -> None:
    solution = solve(shared_machine(simple_problem, cores=1, min_stages=2))
    assert solution.bottleneck.kind is BottleneckKind.MACHINE
    assert solution.optimal
    assert solution.notes


def test_many_equal_nodes_are_taken_in_the_order_of_their_ids(simple_problem: MakeProblem) -> None:
    problem = simple_problem(dict.fromkeys("dbacfe", 0.1), layers=12, max_stages=4, max_replicas=1)
    assert solve(problem).node_ids == ("a", "b", "c", "d")


def test_sixteen_nodes_of_four_kinds_are_within_reach() -> None:
    problem = medium_problem(6, Size(kinds=4, per_kind=4, layers=64))
    solution = solve(problem)
    assert solution.optimal
    assert len(solution.node_ids) == 16
