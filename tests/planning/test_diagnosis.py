from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest

from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.planning import Problem, solve

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
    sentence = refusal(simple_problem({"a": 0.1, "b": 0.2}, latency_bound_s=0.4))
    assert "within 400 ms" in sentence
    assert "best possible latency is 420 ms" in sentence


def test_memory_says_how_much_is_missing_and_where(simple_problem: MakeProblem) -> None:
    sentence = refusal(simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=17))
    assert "a lacks 3 bytes for layers 0–1, and b lacks 3 bytes for layers 2–3" in sentence


def test_large_amounts_are_given_rounded_and_exact(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1}, memory_bytes=0, layer_memory_bytes=(1 << 20,) * 4)
    assert "a lacks 4 MiB (4,194,304 bytes) for layers 0–3" in refusal(problem)


def test_memory_and_bound_together_blame_memory_first(simple_problem: MakeProblem) -> None:
    assert "no plan fits into memory" in refusal(
        simple_problem({"a": 0.1}, memory_bytes=5, latency_bound_s=0.001)
    )


def test_links_that_a_gateway_lacks(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    into = {pair: link for pair, link in problem.links.items() if pair[0] != "gw"}
    assert "no link from gw, where requests come in" in refusal(replace(problem, links=into))
    out = {pair: link for pair, link in problem.links.items() if pair[1] != "gw"}
    assert "no link from any node to gw" in refusal(replace(problem, links=out))


def test_links_missing_between_nodes(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, min_stages=2)
    links = {pair: link for pair, link in problem.links.items() if "gw" in pair}
    assert "no link a → b, b → a" in refusal(replace(problem, links=links))


def test_names_are_used_in_sentences(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1}, memory_bytes=5)
    named = replace(problem, nodes=(replace(problem.nodes[0], name="kitchen"),))
    assert "kitchen lacks" in refusal(named)


def test_free_gateway_needs_no_links(simple_problem: MakeProblem) -> None:
    assert solve(simple_problem({"a": 0.1}, links={}, gateway=None)).stages[0].node_id == "a"


def test_every_refusal_is_one_sentence_that_says_what_to_do(random_problem: RandomProblem) -> None:
    refusals = [sentence for seed in range(150) if (sentence := sentence_of(random_problem(seed)))]
    assert len(refusals) > 20
    assert all("; " in one or ": " in one for one in refusals)
    assert not any("\n" in one for one in refusals)


def sentence_of(problem: Problem) -> str:
    try:
        solve(problem)
    except InfeasibleError as error:
        return str(error)
    return ""


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


def test_memory_is_to_blame_where_the_able_node_only_lacks_that(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=39)
    old = replace(problem.nodes[1], layer_s=(0.1, 0.1, 0.1, None), memory_bytes=0)
    sentence = refusal(replace(problem, nodes=(problem.nodes[0], old)))
    assert "a lacks 1 byte for layers 0–3" in sentence
