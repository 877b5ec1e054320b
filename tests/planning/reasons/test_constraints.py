from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Problem
from mesh.planning.costs import memory_bytes
from mesh.planning.reasons.constraints import (
    Constraint,
    ample_bytes,
    is_active,
    missing_pairs,
    predicate,
    stages,
    without,
)

MakeProblem: TypeAlias = Callable[..., Problem]
A = NodeId("a")

PREDICATES = {
    Constraint.LATENCY_BOUND: ({"latency_bound_s": 0.05}, "answers within 50 ms"),
    Constraint.SPLIT: ({"min_stages": 2}, "has 2 stages or more"),
    Constraint.STAGE_LIMIT: ({"max_stages": 1}, "has at most 1 stage"),
    Constraint.REQUIRED: (
        {"required": frozenset({A})},
        "gives a, which must take part, a stage",
    ),
    Constraint.PRIVATE: (
        {"private_layers": 3, "private_nodes": frozenset({A})},
        "keeps the private first 3 of the model's 4 pieces on a",
    ),
    Constraint.LINKS: ({"links": {}}, "does with the links that there are"),
}


@pytest.mark.parametrize("constraint", PREDICATES)
def test_a_constraint_is_active_only_where_it_was_set(
    simple_problem: MakeProblem, constraint: Constraint
) -> None:
    changes, words = PREDICATES[constraint]
    free = simple_problem({"a": 0.1, "b": 0.1})
    bound = replace(free, **changes)  # type: ignore[arg-type]
    assert not is_active(constraint, free)
    assert is_active(constraint, bound)
    assert predicate(constraint, bound) == words
    assert not is_active(constraint, without(constraint, bound))


def test_without_memory_limits_any_node_holds_the_whole_model(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1}, memory_bytes=0, stage_memory_bytes=5)
    (node,) = without(Constraint.MEMORY, problem).nodes
    assert node.memory_bytes == ample_bytes(problem) == 45
    assert memory_bytes(problem, LayerRange(start=0, stop=4)) <= node.memory_bytes


def test_without_gaps_every_layer_is_run(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1})
    gap = replace(problem.nodes[0], layer_s=(0.1, None, 0.1, 0.1))
    lifted = without(Constraint.OPERATORS, replace(problem, nodes=(gap,)))
    assert lifted.nodes[0].layer_s == (0.1, 0.0, 0.1, 0.1)


def test_missing_links_are_between_nodes_and_gateway(simple_problem: MakeProblem) -> None:
    problem = replace(simple_problem({"a": 0.1, "b": 0.1}), links={})
    assert len(missing_pairs(problem)) == 6
    assert missing_pairs(replace(problem, gateway=None)) == (("a", "b"), ("b", "a"))
    assert missing_pairs(without(Constraint.LINKS, problem)) == ()


def test_a_whole_private_model_is_called_so(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1}, private_layers=4)
    assert predicate(Constraint.PRIVATE, problem) == (
        "keeps the whole model, which is private, on nodes of their owner"
    )


def test_stages_are_counted() -> None:
    assert (stages(1), stages(2)) == ("1 stage", "2 stages")
