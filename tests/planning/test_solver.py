from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import (
    BottleneckKind,
    Objective,
    PlanLink,
    PlanNode,
    Problem,
    Solution,
    evaluate,
    solve,
)
from mesh.planning.solver import rank

Plan: TypeAlias = tuple[tuple[NodeId, LayerRange], ...]
MakeProblem: TypeAlias = Callable[..., Problem]
RandomProblem: TypeAlias = Callable[[int], Problem]
Oracle: TypeAlias = Callable[[Problem], tuple[Plan, Fraction, Fraction] | None]


def plan_of(solution: Solution) -> Plan:
    return tuple((stage.node_id, stage.layers) for stage in solution.stages)


seeds = st.integers(min_value=0, max_value=10**9)
some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def solved(problem: Problem) -> Solution | None:
    try:
        return solve(problem)
    except InfeasibleError:
        return None


def not_worse(problem: Problem, than: Problem) -> bool:
    """Whether the first problem's optimum is at least as good as the second's."""
    worse, better = solved(than), solved(problem)
    if worse is None or better is None:
        return worse is None
    return rank(problem.objective, better) <= rank(than.objective, worse)


@pytest.mark.parametrize("block", range(20))
def test_solution_is_the_one_that_trying_everything_finds(
    random_problem: RandomProblem, best_by_trying: Oracle, block: int
) -> None:
    for seed in range(block * 30, block * 30 + 30):
        problem = random_problem(seed)
        best, solution = best_by_trying(problem), solved(problem)
        if best is None or solution is None:
            assert (best, solution) == (None, None), seed
            continue
        figures = Fraction(solution.bottleneck_s), Fraction(solution.latency_s)
        assert (plan_of(solution), *figures) == best, seed
        assert solution.optimal


@some
@given(seeds)
def test_order_of_nodes_and_links_does_not_matter(random_problem: RandomProblem, seed: int) -> None:
    problem = random_problem(seed)
    draw = Random(seed)
    nodes, links = list(problem.nodes), list(problem.links.items())
    draw.shuffle(nodes)
    draw.shuffle(links)
    assert solved(replace(problem, nodes=tuple(nodes), links=dict(links))) == solved(problem)


@some
@given(seeds)
def test_another_node_never_hurts(random_problem: RandomProblem, seed: int) -> None:
    problem = random_problem(seed)
    gone = {problem.nodes[0].node_id} - {problem.gateway}
    fewer = replace(
        problem, nodes=tuple(node for node in problem.nodes if node.node_id not in gone)
    )
    assert not_worse(problem, than=fewer)


@some
@given(seeds, st.floats(min_value=1.0, max_value=10.0))
def test_a_faster_link_never_hurts(random_problem: RandomProblem, seed: int, factor: float) -> None:
    problem = random_problem(seed)
    links = dict(problem.links)
    for pair in sorted(links)[:3]:
        slow = links[pair]
        links[pair] = PlanLink(
            goodput_bytes_per_s=slow.goodput_bytes_per_s * factor,
            message_s=slow.message_s / factor,
        )
    assert not_worse(replace(problem, links=links), than=problem)


@some
@given(seeds, st.integers(min_value=0, max_value=20))
def test_more_memory_never_hurts(random_problem: RandomProblem, seed: int, more_bytes: int) -> None:
    problem = random_problem(seed)
    first, *others = problem.nodes
    roomier = replace(first, memory_bytes=first.memory_bytes + more_bytes)
    assert not_worse(replace(problem, nodes=(roomier, *others)), than=problem)


@some
@given(seeds)
def test_solution_is_what_evaluate_says_of_its_plan(
    random_problem: RandomProblem, seed: int
) -> None:
    problem = random_problem(seed)
    solution = solved(problem)
    if solution is not None:
        assert replace(evaluate(problem, plan_of(solution)), optimal=True) == solution
        assert solution == solved(problem)


@some
@given(seeds)
def test_latency_optimum_is_the_least_bound_that_throughput_can_keep(
    random_problem: RandomProblem, seed: int
) -> None:
    problem = replace(random_problem(seed), latency_bound_s=float("inf"))
    quickest = solved(replace(problem, objective=Objective.LATENCY))
    if quickest is None or quickest.latency_s == 0:
        return
    bounded = replace(problem, objective=Objective.THROUGHPUT, latency_bound_s=quickest.latency_s)
    assert solve(bounded).latency_s == quickest.latency_s


def test_awkward_decimals_do_not_break_ties_by_rounding(simple_problem: MakeProblem) -> None:
    """0.1 + 0.2 + 0.3 differs in floats from 0.3 + 0.2 + 0.1: equal nodes must stay equal."""
    times = (0.1, 0.2, 0.3, 0.3, 0.2, 0.1)
    problem = simple_problem({"a": 1.0, "b": 1.0}, layers=6, gateway=None, boundary_bytes=(0,) * 7)
    nodes = tuple(replace(node, layer_s=times) for node in problem.nodes)
    solution = solve(replace(problem, nodes=nodes, min_stages=2))
    assert [stage.node_id for stage in solution.stages] == ["a", "b"]
    assert solution.stages[0].compute_s == solution.stages[1].compute_s


def test_a_bound_read_off_a_solution_can_be_kept(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.07, "c": 0.3}, layers=7, objective=Objective.LATENCY)
    best = solve(problem)
    assert solve(replace(problem, latency_bound_s=best.latency_s)) == best


def test_latency_bound_trades_throughput(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.12})
    assert len(solve(problem).stages) == 2
    bounded = solve(replace(problem, latency_bound_s=0.43))
    assert plan_of(bounded) == ((NodeId("a"), LayerRange(start=0, stop=4)),)


def test_gateway_that_hosts_stages_pays_no_entry(simple_problem: MakeProblem) -> None:
    solution = solve(simple_problem({"a": 0.1, "b": 0.1}, gateway=NodeId("a"), max_stages=1))
    assert plan_of(solution) == ((NodeId("a"), LayerRange(start=0, stop=4)),)
    assert (solution.stages[0].transfer_s, solution.exit_s) == (0.0, 0.0)


def shared_machine(simple_problem: MakeProblem, cores: int, **changes: int) -> Problem:
    problem = simple_problem({"a": 0.1, "b": 0.12})
    nodes = tuple(replace(node, host_id="box", host_cores=cores) for node in problem.nodes)
    return replace(problem, nodes=nodes, **changes)  # type: ignore[arg-type]


def test_a_shared_machine_makes_one_node_the_better_choice(simple_problem: MakeProblem) -> None:
    assert len(solve(shared_machine(simple_problem, cores=2)).stages) == 2
    assert len(solve(shared_machine(simple_problem, cores=1)).stages) == 1


def test_a_forced_pipeline_on_a_shared_machine_is_not_called_optimal(
    simple_problem: MakeProblem,
) -> None:
    solution = solve(shared_machine(simple_problem, cores=1, min_stages=2))
    assert solution.bottleneck.kind is BottleneckKind.MACHINE
    assert not solution.optimal
    assert solution.notes


def test_many_equal_nodes_are_taken_in_the_order_of_their_ids(simple_problem: MakeProblem) -> None:
    problem = simple_problem(dict.fromkeys("dbacfe", 0.1), layers=12, max_stages=4)
    assert [stage.node_id for stage in solve(problem).stages] == ["a", "b", "c", "d"]


def test_sixteen_nodes_of_four_kinds_are_within_reach() -> None:
    draw = Random(5)
    ids = [NodeId(f"{index:02}") for index in range(16)]
    kinds = [tuple(draw.uniform(0.001, 0.004) for _ in range(64)) for _ in range(4)]
    link = PlanLink(goodput_bytes_per_s=1e8, message_s=1e-4)
    problem = Problem(
        nodes=tuple(
            PlanNode(node_id=one, layer_s=kinds[index % 4], stage_s=0.0, memory_bytes=30)
            for index, one in enumerate(ids)
        ),
        layer_memory_bytes=(1,) * 64,
        boundary_bytes=(1000,) * 65,
        links={(a, b): link for a in ids for b in ids if a != b},
        gateway=None,
    )
    solution = solve(problem)
    assert len(solution.stages) == 16
    assert solution.bottleneck_s < min(sum(times) for times in kinds) / 10
