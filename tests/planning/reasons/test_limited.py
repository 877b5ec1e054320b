from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.planning import Problem, explain, solve
from mesh.planning.reasons.limited import Limited, limited_nodes

MakeProblem: TypeAlias = Callable[..., Problem]


@pytest.mark.parametrize("layer_s", [(0.1, 0.1, None, 0.1), (9.0, 9.0, None, 9.0), (None,) * 4])
def test_a_limited_node_is_told_of_whether_or_not_it_has_a_stage(
    simple_problem: MakeProblem, layer_s: tuple[float | None, ...]
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    old = replace(problem.nodes[1], layer_s=layer_s, unable="it lacks GATHER_ND version 5")
    problem = replace(problem, nodes=(problem.nodes[0], old))
    limited = (Limited(node_id=old.node_id, reason="it lacks GATHER_ND version 5"),)
    assert limited_nodes(problem) == limited
    assert explain(problem, solve(problem)).limited == limited


def test_a_node_that_says_no_reason_is_told_of_too(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1})
    mute = replace(problem.nodes[0], layer_s=(None, 0.1, 0.1, 0.1))
    (limited,) = limited_nodes(replace(problem, nodes=(mute,)))
    assert limited.reason == "it cannot run every layer"
    assert limited_nodes(problem) == ()
