from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from mesh.ids import NodeId
from mesh.planning import PlanLink, Problem, solve
from mesh.planning.reasons.improvements import Improvement, Kind, improvements

MakeProblem: TypeAlias = Callable[..., Problem]


def of_kind(problem: Problem, kind: Kind) -> dict[str, Improvement]:
    """By sentence, as told of the best plan today."""
    plan = solve(problem)
    return {one.sentence(plan): one for one in improvements(problem, plan) if one.kind is kind}


def test_wishes_that_were_made_can_be_given_up(simple_problem: MakeProblem) -> None:
    problem = simple_problem(
        {"a": 0.1, "b": 0.1},
        min_stages=2,
        max_stages=2,
        max_replicas=1,
        required=frozenset({NodeId("a")}),
        private_layers=1,
        private_nodes=frozenset({NodeId("a")}),
    )
    assert list(of_kind(problem, Kind.WISH)) == [
        "no split asked for",
        "any number of stages",
        "any number of nodes per stage",
        "no node required",
        "no layers kept private",
    ]
    assert of_kind(simple_problem({"a": 0.1}), Kind.WISH) == {}


def test_a_longer_latency_bound_is_told_only_where_a_plan_needs_it(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.12}, latency_bound_s=0.43)
    (longer,) = of_kind(problem, Kind.LATENCY_BOUND).values()
    assert longer.sentence(solve(problem)) == ""
    assert longer.sentence(solve(longer.problem)).startswith("a latency bound of 500")


def test_memory_is_what_the_plan_takes_more(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.2}, memory_bytes=25)
    both = [one for one in improvements(problem, solve(problem)) if one.kind is Kind.MEMORY]
    assert len(both) == 3
    replicas = solve(replace(both[-1].problem, min_stages=1, max_stages=1))
    assert both[-1].sentence(replicas) == "15 bytes more on a and 15 bytes more on b"
    assert both[0].sentence(solve(problem)) == ""


def test_links_of_the_plan_twice_as_fast(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, max_replicas=1)
    links = of_kind(problem, Kind.LINK)
    assert list(links) == [
        "a link twice as fast gw → a",
        "a link twice as fast a → b",
        "a link twice as fast b → gw",
    ]
    faster = links["a link twice as fast a → b"].problem.links
    pair = NodeId("a"), NodeId("b")
    assert faster[pair] == PlanLink(goodput_bytes_per_s=2000.0, message_s=0.0)
    assert [one for one in faster if faster[one] != problem.links[one]] == [pair]


def test_links_to_and_from_replicas_are_one(simple_problem: MakeProblem) -> None:
    links = of_kind(simple_problem({"a": 0.1, "b": 0.1}), Kind.LINK)
    assert list(links) == [
        "a link twice as fast gw → a and b",
        "a link twice as fast a and b → gw",
    ]


def test_all_links_of_a_node(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    changed = of_kind(problem, Kind.NODE_LINKS)["all links of b twice as fast"].problem.links
    assert {pair for pair in changed if changed[pair] != problem.links[pair]} == {
        pair for pair in problem.links if "b" in pair
    }


def test_another_node_is_linked_as_the_one_it_is_like(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.3})
    slow = PlanLink(goodput_bytes_per_s=10.0, message_s=0.0)
    link = NodeId("a"), NodeId("gw")
    problem = replace(problem, links={**problem.links, link: slow})
    another = of_kind(problem, Kind.ANOTHER_NODE)["another node like a"]
    new_id = another.joins
    assert new_id is not None
    assert new_id not in {node.node_id for node in problem.nodes}
    assert another.problem.nodes[-1].layer_s == problem.nodes[0].layer_s
    assert another.problem.links[new_id, NodeId("gw")] == slow
    # To its like it goes the slowest way that this one has.
    assert another.problem.links[NodeId("a"), new_id] == slow
    assert another.problem.links[new_id, NodeId("a")] == problem.links[NodeId("gw"), NodeId("a")]


def test_another_node_of_the_owner_may_run_private_layers(simple_problem: MakeProblem) -> None:
    problem = simple_problem(
        {"a": 0.1, "b": 0.3}, private_layers=1, private_nodes=frozenset({NodeId("a")})
    )
    others = of_kind(problem, Kind.ANOTHER_NODE)
    like_a, like_b = others["another node like a"], others["another node like b"]
    assert like_a.joins in like_a.problem.private_nodes
    assert like_b.joins not in like_b.problem.private_nodes


def test_equal_nodes_are_offered_once(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1, "c": 0.3})
    assert list(of_kind(problem, Kind.ANOTHER_NODE)) == [
        "another node like a",
        "another node like c",
    ]


def test_a_node_twice_as_fast_still_cannot_run_what_it_cannot(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    old = replace(problem.nodes[1], layer_s=(0.1, None, 0.1, 0.1), stage_s=0.02)
    problem = replace(problem, nodes=(problem.nodes[0], old))
    faster = of_kind(problem, Kind.FASTER_NODE)["a node twice as fast in place of b"].problem
    assert faster.nodes[1].layer_s == (0.05, None, 0.05, 0.05)
    assert faster.nodes[1].stage_s == 0.01
