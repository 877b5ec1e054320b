from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise, permutations
from random import Random
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Assignment, PlanLink, Problem, evaluate
from mesh.planning.search.kinds import kinds_of
from tests.planning.random_problems import random_problem

MakeProblem: TypeAlias = Callable[..., Problem]

A, B, GATEWAY = NodeId("a"), NodeId("b"), NodeId("gw")


def names(problem: Problem) -> list[str]:
    return ["".join(node.node_id for node in kind.nodes) for kind in kinds_of(problem)]


def test_equal_nodes_are_one_kind_in_the_order_of_their_ids(simple_problem: MakeProblem) -> None:
    assert names(simple_problem({"d": 0.1, "b": 0.2, "a": 0.1, "c": 0.2})) == ["ad", "bc"]


@pytest.mark.parametrize(
    "changes",
    [
        {"layer_s": (0.1, 0.1, 0.1, None)},
        {"stage_s": 0.1},
        {"memory_bytes": 999},
        {"threads": 2},
        {"host_cores": 4},
        {"message_cpu_s": 0.1},
        {"byte_cpu_s": 0.1},
    ],
)
def test_whatever_a_figure_depends_on_makes_another_kind(
    simple_problem: MakeProblem, changes: dict[str, object]
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    other = replace(problem.nodes[1], **changes)  # type: ignore[arg-type]
    assert names(replace(problem, nodes=(problem.nodes[0], other))) == ["a", "b"]


def test_rights_and_duties_make_another_kind(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    assert names(replace(problem, required=frozenset({A}))) == ["a", "b"]
    assert names(replace(problem, private_nodes=frozenset({A}))) == ["a", "b"]
    assert names(replace(problem, gateway=A)) == ["a", "b"]


def test_an_unlike_link_makes_another_kind(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1, "c": 0.1})
    slow = PlanLink(goodput_bytes_per_s=1.0, message_s=0.0)
    assert names(problem) == ["abc"]
    assert names(replace(problem, links={**problem.links, (GATEWAY, A): slow})) == ["a", "bc"]
    assert names(replace(problem, links={**problem.links, (A, B): slow})) == ["a", "b", "c"]


def test_machines_count_where_they_are_shared(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1, "c": 0.1})
    own = tuple(replace(node, host_id=f"box-{node.node_id}") for node in problem.nodes)
    assert [kind.machine for kind in kinds_of(replace(problem, nodes=own))] == [""]
    shared = (*(replace(node, host_id="box") for node in own[:2]), own[2])
    both = kinds_of(replace(problem, nodes=shared))
    assert [(len(kind), kind.machine) for kind in both] == [(2, "box"), (1, "")]


@settings(max_examples=80, deadline=None)
@given(st.integers(min_value=0, max_value=10**9))
def test_swapping_two_of_a_kind_changes_no_figure_of_any_plan(seed: int) -> None:
    problem, draw = random_problem(seed), Random(seed)
    ids = [node.node_id for node in problem.nodes]
    draw.shuffle(ids)
    stages = draw.randint(1, min(len(ids), problem.layers))
    cuts = [0, *sorted(draw.sample(range(1, problem.layers), stages - 1)), problem.layers]
    groups = [tuple(ids[stage::stages]) for stage in range(stages)]
    for kind in kinds_of(problem):
        for one, other in permutations([node.node_id for node in kind.nodes], 2):
            swap = {one: other, other: one}
            swapped = [tuple(swap.get(it, it) for it in group) for group in groups]
            assert figures(problem, groups, cuts) == figures(problem, swapped, cuts)


def figures(
    problem: Problem, groups: list[tuple[NodeId, ...]], cuts: list[int]
) -> tuple[float, float] | None:
    layers = [LayerRange(start=start, stop=stop) for start, stop in pairwise(cuts)]
    assignment: Assignment = list(zip(groups, layers, strict=True))
    try:
        solution = evaluate(problem, assignment)
    except InfeasibleError:
        return None
    return round(solution.bottleneck_s, 12), round(solution.latency_s, 12)
