from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Explanation, Problem, evaluate, explain, solve
from mesh.planning.explanation import HELPS_OPEN

MakeProblem: TypeAlias = Callable[..., Problem]
RandomProblem: TypeAlias = Callable[[int], Problem]


def explained(problem: Problem) -> Explanation:
    return explain(problem, solve(problem), with_helps=False)


def test_all_forms_stand_side_by_side(simple_problem: MakeProblem) -> None:
    explanation = explained(simple_problem({"a": 0.1, "b": 0.15}, layers=2))
    assert explanation.best_single is not None
    assert explanation.best_single.node_ids == ("a",)
    assert explanation.best_replicas == explanation.chosen
    assert explanation.best_pipeline is not None
    assert len(explanation.best_pipeline.stages) == 2


def test_a_forced_pipeline_is_compared_with_shorter_ones_too(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1, "c": 5.0}, min_stages=3)
    explanation = explained(problem)
    assert explanation.best_pipeline is not None
    assert len(explanation.best_pipeline.stages) == 2


def test_helps_are_told_unless_they_are_not_wanted(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1})
    assert explained(problem).helps == ()
    explanation = explain(problem, solve(problem))
    assert explanation.helps
    assert explanation.notes == ()


def test_of_a_plan_that_is_not_the_best_the_best_is_helped(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    given = evaluate(problem, [((NodeId("a"),), LayerRange(start=0, stop=4))])
    explanation = explain(problem, given)
    assert explanation.chosen == given
    assert explanation.helps == explain(problem, solve(problem)).helps


def test_a_given_plan_that_is_the_best_is_told_with_its_proof(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    best = solve(problem)
    given = evaluate(problem, [(stage.node_ids, stage.layers) for stage in best.stages])
    assert not given.optimal
    assert explain(problem, given, with_helps=False).chosen == best


def test_without_a_budget_what_needs_no_search_is_told(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 9.0})
    explanation = explain(problem, solve(problem), budget_s=0.0)
    assert explanation.best_single is not None
    assert explanation.verdict
    assert explanation.notes == (HELPS_OPEN,)


def test_without_a_budget_a_given_plan_is_the_best_that_is_known(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.1})
    given = evaluate(problem, [((NodeId("a"),), LayerRange(start=0, stop=4))])
    verdict = explain(problem, given, budget_s=0.0).verdict
    assert verdict.startswith("one node is the best found: a alone gives 2.5 requests/s")
    assert verdict.endswith("that none is better is not proven")


def test_the_same_facts_are_explained_the_same(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.15, "c": 0.2}, latency_bound_s=0.7)
    turned = replace(problem, nodes=problem.nodes[::-1])
    assert explain(problem, solve(problem)) == explain(turned, solve(turned))


def test_whatever_can_be_solved_can_be_explained(random_problem: RandomProblem) -> None:
    for seed in range(32):
        problem = random_problem(seed)
        try:
            solution = solve(problem)
        except InfeasibleError:
            continue
        explanation = explain(problem, solution, with_helps=seed % 4 == 0)
        left_out = {node.node_id for node in explanation.left_out}
        assert left_out | set(solution.node_ids) == {node.node_id for node in problem.nodes}
        assert explanation.verdict
        assert (explanation.best_single is None) == bool(explanation.why_no_single)
        assert (explanation.best_replicas is None) == bool(explanation.why_no_replicas)
        assert (explanation.best_pipeline is None) == bool(explanation.why_no_pipeline)


def test_the_best_that_is_known_is_among_the_rivals(simple_problem: MakeProblem) -> None:
    """Also where a worse plan is given, as a live one may be."""
    problem = simple_problem({"a": 0.1, "b": 0.1}, memory_bytes=30, max_replicas=1)
    cuts = (LayerRange(start=0, stop=1), LayerRange(start=1, stop=4))
    given = evaluate(problem, list(zip(((NodeId("a"),), (NodeId("b"),)), cuts, strict=True)))
    told = explain(problem, given)
    assert told.chosen == given
    assert told.best_pipeline == solve(problem)
    assert told.plans == (given, told.best_pipeline)
