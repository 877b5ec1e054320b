import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.planning import PlanLink, Problem, Solution
from mesh.planning.reasons.constraints import Constraint, is_active, missing_pairs, without
from mesh.planning.reasons.questions import Questions
from mesh.planning.reasons.smallest_change import Change, smallest_change
from mesh.planning.search.budget import Budget
from mesh.planning.solver import find

MakeProblem: TypeAlias = Callable[..., Problem]
RandomProblem: TypeAlias = Callable[[int], Problem]
EverySolution: TypeAlias = Callable[[Problem], Iterator[Solution]]


def changed(constraint: Constraint, problem: Problem) -> Change | None:
    questions = Questions(search=find, budget=Budget(60.0))
    change = smallest_change(constraint, problem, questions.any_plan)
    assert not questions.is_open
    return change


def small(problem: Problem, seed: int) -> Problem:
    """At most four nodes, some of them required or with private layers."""
    draw = Random(seed)
    nodes = problem.nodes[:4]
    ids = sorted(node.node_id for node in nodes)
    return replace(
        problem,
        nodes=nodes,
        min_stages=min(problem.min_stages, len(nodes), problem.layers),
        required=frozenset(draw.sample(ids, draw.choice((0, 0, 1, min(2, len(ids)))))),
        private_layers=draw.choice((0, 0, 1, problem.layers)),
        private_nodes=frozenset(draw.sample(ids, draw.randint(1, len(ids)))),
    )


def slightly_less(constraint: Constraint, problem: Problem, change: Change) -> list[Problem]:
    """The problem with every change of this constraint that is one step smaller."""
    granted = change.apply(problem)
    if constraint is Constraint.MEMORY:
        return less_memory(problem, granted)
    if constraint is Constraint.REQUIRED:
        return [
            replace(problem, required=granted.required | {dropped})
            for dropped in problem.required - granted.required
        ]
    if constraint is Constraint.LINKS:
        return [problem] if len(granted.links) == len(problem.links) + 1 else []
    less = {
        Constraint.LATENCY_BOUND: {"latency_bound_s": granted.latency_bound_s * 0.999},
        Constraint.SPLIT: {"min_stages": granted.min_stages + 1},
        Constraint.STAGE_LIMIT: {"max_stages": (granted.max_stages or 0) - 1},
        Constraint.PRIVATE: {"private_layers": granted.private_layers + 1},
    }
    return [replace(problem, **less.get(constraint, {}))]  # type: ignore[arg-type]


def less_memory(problem: Problem, granted: Problem) -> list[Problem]:
    """A byte less: on any one node, or, where several were given more, on each of them."""
    given = {
        after.node_id: int(after.memory_bytes - before.memory_bytes)
        for before, after in zip(problem.nodes, granted.nodes, strict=True)
        if after.memory_bytes > before.memory_bytes
    }
    most = max(given.values()) - 1
    everybody = [node.node_id for node in problem.nodes]
    whose = [[one] for one in everybody] if len(given) == 1 else [everybody]
    return [
        replace(
            problem,
            nodes=tuple(
                replace(node, memory_bytes=node.memory_bytes + most * (node.node_id in ids))
                for node in problem.nodes
            ),
        )
        for ids in whose
    ]


@pytest.mark.parametrize("block", range(8))
def test_change_is_enough_and_slightly_less_is_not(
    random_problem: RandomProblem, every_solution: EverySolution, block: int
) -> None:
    told = 0
    for seed in range(block * 30, block * 30 + 30):
        problem = small(random_problem(seed), seed)
        if next(every_solution(problem), None) is not None:
            continue
        for constraint in Constraint:
            lifted = next(every_solution(without(constraint, problem)), None)
            change = changed(constraint, problem) if is_active(constraint, problem) else None
            assert (change is not None) == (lifted is not None), (seed, constraint)
            if change is None:
                continue
            told += 1
            granted = change.apply(problem)
            assert next(every_solution(granted), None) is not None, (seed, constraint)
            for less in slightly_less(constraint, problem, change):
                assert next(every_solution(less), None) is None, (seed, constraint)
    assert told > 3


def test_latency_bound_can_be_typed_as_it_is_told(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.2}, latency_bound_s=0.4)
    change = changed(Constraint.LATENCY_BOUND, problem)
    assert change is not None
    words = change.clause.removeprefix("raise the latency bound to at least ").split()
    typed_s = float(words[0]) / 1000
    assert words[1] == "ms"
    assert 0.42 <= typed_s <= 0.4205
    assert find(replace(problem, latency_bound_s=typed_s)) is not None


def test_memory_on_one_node_or_on_any(simple_problem: MakeProblem) -> None:
    equal = changed(Constraint.MEMORY, simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=17))
    assert equal is not None
    assert equal.clause == "it needs 13 bytes more on any node"
    problem = simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=17)
    richer = replace(problem.nodes[1], memory_bytes=18)
    unequal = changed(Constraint.MEMORY, replace(problem, nodes=(problem.nodes[0], richer)))
    assert unequal is not None
    assert unequal.clause == "it needs 12 bytes more on b"


def test_memory_on_several_nodes_where_one_is_not_enough(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=7, min_stages=2)
    change = changed(Constraint.MEMORY, problem)
    assert change is not None
    assert change.clause == "it needs 13 bytes more on a and 13 bytes more on b"


def test_fewer_stages_are_asked_for(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1, "c": 0.1}, min_stages=3, latency_bound_s=0.43)
    change = changed(Constraint.SPLIT, problem)
    assert change is not None
    assert change.clause == "ask for 2 stages instead of 3"


def test_required_nodes_of_which_one_is_too_many(simple_problem: MakeProblem) -> None:
    problem = simple_problem(
        {"a": 0.1, "b": 0.1, "c": 0.1}, max_stages=1, max_replicas=2, required=frozenset("abc")
    )
    change = changed(Constraint.REQUIRED, problem)
    assert change is not None
    assert change.clause == "do not require a"


def test_required_nodes_of_which_several_are_too_many(simple_problem: MakeProblem) -> None:
    problem = simple_problem(
        {"a": 0.1, "b": 0.1, "c": 0.1}, max_stages=1, max_replicas=1, required=frozenset("abc")
    )
    change = changed(Constraint.REQUIRED, problem)
    assert change is not None
    assert change.clause == "do not require b and c"


def test_fewer_layers_are_kept_private(simple_problem: MakeProblem) -> None:
    problem = simple_problem(
        {"a": 0.1, "b": 0.1},
        memory_bytes=20,
        private_layers=3,
        private_nodes=frozenset({NodeId("a")}),
    )
    change = changed(Constraint.PRIVATE, problem)
    assert change is not None
    assert change.clause == "keep at most the first 2 of the 4 pieces private"


def test_a_single_link_is_named(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, min_stages=2)
    gateway = {pair: link for pair, link in problem.links.items() if "gw" in pair}
    change = changed(Constraint.LINKS, replace(problem, links=gateway))
    assert change is not None
    assert change.clause == "connect a → b"


def test_all_links_of_a_node_where_one_is_not_enough(simple_problem: MakeProblem) -> None:
    change = changed(Constraint.LINKS, replace(simple_problem({"a": 0.1}), links={}))
    assert change is not None
    assert change.clause == "connect a → gw and gw → a"


def test_a_runtime_that_lacks_an_operator(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    old = replace(problem.nodes[0], layer_s=(0.1, None, 0.1, 0.1), unable="it lacks GATHER_ND")
    only = replace(problem, nodes=(old,))
    change = changed(Constraint.OPERATORS, only)
    assert change is not None
    assert "give this node a newer runtime" in change.clause
    assert "a: it lacks GATHER_ND" in change.clause


def test_what_is_not_to_blame_has_no_change(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1}, memory_bytes=5, latency_bound_s=100.0)
    assert changed(Constraint.LATENCY_BOUND, problem) is None
    assert changed(Constraint.MEMORY, problem) is not None


def test_missing_links_count_the_gateway(simple_problem: MakeProblem) -> None:
    link = PlanLink(goodput_bytes_per_s=math.inf, message_s=0.0)
    problem = replace(simple_problem({"a": 0.1}), links={(NodeId("gw"), NodeId("a")): link})
    assert missing_pairs(problem) == (("a", "gw"),)
