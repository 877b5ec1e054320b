from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import PlanLink, Problem
from mesh.planning.costs import memory_ticks
from mesh.planning.grid import build_grid
from mesh.planning.limits import Limits
from mesh.planning.search import ANY
from mesh.planning.ticks import NEVER, to_ticks

MakeProblem: TypeAlias = Callable[..., Problem]
RandomProblem: TypeAlias = Callable[[int], Problem]


def kinds(problem: Problem) -> list[tuple[str, ...]]:
    return [kind.node_ids for kind in build_grid(problem).kinds]


def test_equal_nodes_with_equal_links_are_one_kind(simple_problem: MakeProblem) -> None:
    assert kinds(simple_problem({"c": 0.1, "b": 0.2, "a": 0.1})) == [("a", "c"), ("b",)]


def test_one_other_link_makes_another_kind(simple_problem: MakeProblem) -> None:
    problem = simple_problem(dict.fromkeys("abcd", 0.1))
    slow = PlanLink(goodput_bytes_per_s=1.0, message_s=0.0)
    links = {**problem.links, (NodeId("a"), NodeId("b")): slow}
    assert kinds(replace(problem, links=links)) == [("a",), ("b",), ("c", "d")]


def test_the_gateway_is_a_kind_of_its_own(simple_problem: MakeProblem) -> None:
    problem = simple_problem(dict.fromkeys("abc", 0.1), gateway=NodeId("b"))
    assert kinds(problem) == [("a", "c"), ("b",)]


def test_pairs_linked_only_with_each_other_are_not_mixed(simple_problem: MakeProblem) -> None:
    problem = simple_problem(dict.fromkeys("abcd", 0.1), gateway=None)
    pairs = {("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")}
    links = {pair: link for pair, link in problem.links.items() if pair in pairs}
    assert kinds(replace(problem, links=links)) == [("a", "b"), ("c", "d")]


def test_used_nodes_are_counted_in_one_number(simple_problem: MakeProblem) -> None:
    grid = build_grid(simple_problem({"a": 0.1, "b": 0.1, "c": 0.2}))
    used = grid.steps[0] * 2
    assert (grid.used_of(0, used), grid.used_of(1, used)) == (2, 0)
    assert grid.free_kinds(used) == [1]
    assert grid.free_kinds(0) == [0, 1]


def test_a_kind_of_one_cannot_send_to_itself(simple_problem: MakeProblem) -> None:
    grid = build_grid(simple_problem({"a": 0.1, "b": 0.2, "c": 0.2}))
    assert set(grid.hops[0][0]) == {NEVER}
    assert grid.hops[1][1][1] == to_ticks(0.01)


def test_every_stage_is_judged_as_memory_and_the_nodes_abilities_say(
    random_problem: RandomProblem,
) -> None:
    for seed in range(200):
        problem = random_problem(seed)
        limits = Limits(build_grid(problem), ANY)
        rooms = {node.node_id: to_ticks(node.memory_bytes) for node in problem.nodes}
        by_id = {node.node_id: node for node in problem.nodes}
        for index, kind in enumerate(limits.grid.kinds):
            for stop in range(1, problem.layers + 1):
                for start in range(stop):
                    need = memory_ticks(problem, LayerRange(start=start, stop=stop))
                    times = by_id[kind.node_ids[0]].layer_s[start:stop]
                    fits = need <= rooms[kind.node_ids[0]] and None not in times
                    assert limits.allows(index, start, stop) is fits
