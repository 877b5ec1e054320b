from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.planning import Objective, Problem, solve
from mesh.planning.reasons.constraints import Constraint
from mesh.planning.reasons.diagnosis import explain_infeasible, smallest_changes
from mesh.planning.reasons.questions import Questions
from mesh.planning.search.budget import Budget
from mesh.planning.solver import find

MakeProblem: TypeAlias = Callable[..., Problem]
RandomProblem: TypeAlias = Callable[[int], Problem]


def refusal(problem: Problem) -> str:
    with pytest.raises(InfeasibleError) as caught:
        solve(problem)
    return str(caught.value)


def test_no_nodes(simple_problem: MakeProblem) -> None:
    assert "no node can take part" in refusal(simple_problem({}))


def test_more_stages_than_nodes(simple_problem: MakeProblem) -> None:
    assert "3 stages need as many nodes, and there are 2" in refusal(
        simple_problem({"a": 0.1, "b": 0.1}, min_stages=3)
    )


def test_more_stages_than_layers(simple_problem: MakeProblem) -> None:
    assert "at most 1 stages, not 2" in refusal(
        simple_problem({"a": 0.1, "b": 0.1}, layers=1, min_stages=2)
    )


def test_latency_bound_names_the_best_possible(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.125, "b": 0.25}, latency_bound_s=0.4, boundary_bytes=(0,) * 5)
    assert refusal(problem) == (
        "no plan answers within 400 ms: raise the latency bound to at least 500 ms"
    )


def test_memory_says_how_much_is_missing_and_where(simple_problem: MakeProblem) -> None:
    assert refusal(simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=17)) == (
        "no plan fits into memory: it needs 13 bytes more on any node"
    )


def test_large_amounts_are_given_rounded_and_exact(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1}, memory_bytes=0, layer_memory_bytes=(1 << 20,) * 4)
    assert "it needs 4 MiB (4,194,304 bytes) more on a" in refusal(problem)


def test_constraints_of_which_either_may_give_way_are_alternatives(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=27, max_stages=1)
    assert refusal(problem) == (
        "no plan fits into memory and has at most 1 stage: allow 2 stages; "
        "or it needs 13 bytes more on any node"
    )


def test_constraints_that_must_both_give_way_are_told_together(
    simple_problem: MakeProblem,
) -> None:
    sentence = refusal(simple_problem({"a": 0.1}, memory_bytes=5, latency_bound_s=0.001))
    assert sentence.startswith("no plan fits into memory and answers within 1 ms: ")
    assert "it needs 35 bytes more on a; and raise the latency bound to at least 42" in sentence


def test_links_that_a_gateway_lacks(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    into = {pair: link for pair, link in problem.links.items() if pair[0] != "gw"}
    assert "no link from gw, where requests come in" in refusal(replace(problem, links=into))
    out = {pair: link for pair, link in problem.links.items() if pair[1] != "gw"}
    assert "no link from any node to gw" in refusal(replace(problem, links=out))


def test_links_missing_between_nodes(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, min_stages=2)
    links = {pair: link for pair, link in problem.links.items() if "gw" in pair}
    sentence = refusal(replace(problem, links=links))
    assert "does with the links that there are" in sentence
    assert "ask for one stage instead of 2; or connect a → b" in sentence


def test_names_are_used_in_sentences(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1}, memory_bytes=5)
    named = replace(problem, nodes=(replace(problem.nodes[0], name="kitchen"),))
    assert "more on kitchen" in refusal(named)


def test_free_gateway_needs_no_links(simple_problem: MakeProblem) -> None:
    assert solve(simple_problem({"a": 0.1}, links={}, gateway=None)).node_ids == ("a",)


def test_unknown_gateway_without_links_is_a_missing_link(simple_problem: MakeProblem) -> None:
    assert "no link from elsewhere" in refusal(
        simple_problem({"a": 0.1}, gateway=NodeId("elsewhere"))
    )


def test_layers_that_nobody_can_run_are_named_with_who_lacks_what(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    unable = "tflite 2.14.0 lacks FULLY_CONNECTED version 12 (layer 1)"
    nodes = tuple(
        replace(node, layer_s=(0.1, None, 0.1, 0.1), unable=unable) for node in problem.nodes
    )
    sentence = refusal(replace(problem, nodes=nodes))
    assert "no plan avoids" in sentence
    assert f"a: {unable}; b: {unable}" in sentence
    assert "add a node" in sentence


def test_a_required_node_that_is_not_there(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1}, required=frozenset({NodeId("b")}))
    assert refusal(problem) == (
        "b must take part, but is not among the nodes that can: start it, or do not require it"
    )


def test_a_required_node_without_a_link(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, required=frozenset({NodeId("b")}))
    links = {pair: link for pair, link in problem.links.items() if "b" not in pair}
    assert refusal(replace(problem, links=links)).startswith("b must take part, but has no link")


def test_private_layers_without_a_node_of_their_owner(simple_problem: MakeProblem) -> None:
    sentence = refusal(simple_problem({"a": 0.1}, private_layers=2))
    assert "the private first 2 of the model's 4 pieces may run only on nodes of their owner" in (
        sentence
    )


def test_private_layers_for_which_no_node_has_room(simple_problem: MakeProblem) -> None:
    problem = simple_problem(
        {"a": 0.1, "b": 0.1}, private_layers=4, private_nodes=frozenset({NodeId("a")})
    )
    poor = replace(problem.nodes[0], memory_bytes=25)
    assert refusal(replace(problem, nodes=(poor, problem.nodes[1]))) == (
        "no plan fits into memory and keeps the whole model, which is private, on a: "
        "keep at most the first 2 of the 4 pieces private; or it needs 15 bytes more on a"
    )


def test_to_lift_what_is_imposed_is_not_proposed(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=27, max_stages=1)
    sentence = explain_infeasible(problem, find, imposed=(Constraint.STAGE_LIMIT,))
    assert sentence == "no plan fits into memory: it needs 13 bytes more on any node"


def test_a_budget_that_tells_nothing_is_said(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=17)
    sentence = explain_infeasible(problem, find, budget=Budget(0.0))
    assert "no change is known within the planner's budget" in sentence


def test_changes_that_are_to_be_made_together_are_enough(random_problem: RandomProblem) -> None:
    told = 0
    for seed in range(60):
        problem = random_problem(seed)
        if find(problem) is not None:
            continue
        questions = Questions(search=find, budget=Budget(60.0))
        for changes in smallest_changes(problem, questions.any_plan):
            changed = problem
            for change in changes:
                changed = change.apply(changed)
            assert questions.any_plan(changed) is not None, seed
            told += len(changes) > 1
    assert told > 1


def test_every_refusal_is_one_sentence_that_says_what_to_do(random_problem: RandomProblem) -> None:
    refusals = [sentence for seed in range(80) if (sentence := sentence_of(random_problem(seed)))]
    assert len(refusals) > 20
    assert all("; " in one or ": " in one for one in refusals)
    assert not any("\n" in one for one in refusals)


def sentence_of(problem: Problem) -> str:
    try:
        solve(problem)
    except InfeasibleError as error:
        return str(error)
    return ""


def test_the_same_reason_whatever_is_wanted_most(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=17)
    assert refusal(problem) == refusal(replace(problem, objective=Objective.LATENCY))
