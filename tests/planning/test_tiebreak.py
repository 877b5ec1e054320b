from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from mesh.planning import Problem, solve

MakeProblem: TypeAlias = Callable[..., Problem]


def test_node_ids_come_before_cuts(simple_problem: MakeProblem) -> None:
    """Either node may take two of three layers; the smaller id goes first, then the smaller cut."""
    problem = simple_problem({"b": 0.125, "a": 0.125}, layers=3, boundary_bytes=(0,) * 4)
    solution = solve(problem)
    assert solution.node_ids == ("a", "b")
    assert [stage.layers.stop for stage in solution.stages] == [1, 3]


def test_a_cut_that_leads_to_other_nodes_is_not_taken(simple_problem: MakeProblem) -> None:
    """The first cut that suits some second node does not suit the one whose id comes first."""
    problem = simple_problem({"a": 0.125, "b": 1.0, "c": 1.0}, max_stages=2)
    a, b, c = problem.nodes
    free = replace(
        problem,
        nodes=(
            a,
            replace(b, layer_s=(1.0, 1.0, 0.0, 0.0)),
            replace(c, layer_s=(1.0, 0.0, 0.0, 0.125)),
        ),
        boundary_bytes=(1000, 0, 0, 0, 0),
    )
    solution = solve(free)
    assert solution.node_ids == ("a", "b")
    assert [stage.layers.stop for stage in solution.stages] == [2, 4]
