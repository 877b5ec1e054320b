"""The verdict on a plan as one sentence: what is best, by how much, and how sure that is."""

from mesh.planning import wording
from mesh.planning.problem import Objective, Problem
from mesh.planning.reasons.constraints import stages
from mesh.planning.reasons.ranking import broken_wish, times_better
from mesh.planning.reasons.rivals import Rivals
from mesh.planning.search.best import rank
from mesh.planning.solution import Solution

SLIGHTLY = 1.005
"""What is better by less is not told as a factor."""


def best_verdict(problem: Problem, chosen: Solution, rivals: Rivals) -> str:
    """Of the best plan that is known; says so where it is not proven to be the best."""
    if len(chosen.stages) > 1:
        told = _pipeline(problem, chosen, rivals)
    elif len(chosen.node_ids) > 1:
        told = _replicas(problem, chosen, rivals)
    else:
        told = _single(problem, chosen, rivals)
    return f"{told}{_unproven(problem, chosen)}"


def given_verdict(problem: Problem, given: Solution, best: Solution | None, why_none: str) -> str:
    """Of a plan that somebody gave, against the best one."""
    broken = broken_wish(problem, given)
    told = f"the given plan of {_form(given)} {_gives(problem, given)}"
    if broken:
        told = f"{told}, but {broken}"
    if best is None:
        return f"{told}; {why_none}"
    return f"{told}; the best plan, of {_form(best)}, {_gives(problem, best)}"


def _single(problem: Problem, chosen: Solution, rivals: Rivals) -> str:
    told = f"one node is {_best(chosen)}: {_alone(problem, chosen)}"
    if rivals.replicas is not None:
        told += f", the best replicas {_give(problem, rivals.replicas)}"
    if rivals.pipeline is None:
        return f"{told}; no pipeline meets the constraints"
    return f"{told}, the best pipeline {_gives(problem, rivals.pipeline)}"


def _replicas(problem: Problem, chosen: Solution, rivals: Rivals) -> str:
    names = wording.listed([problem.label(one) for one in chosen.node_ids])
    count, pipeline = len(chosen.node_ids), rivals.pipeline
    beaten = [("the best single node", rivals.single), ("the best pipeline", pipeline)]
    figures = f"{names} {_give(problem, chosen)}{_times(problem, chosen, beaten)}"
    if pipeline is None:
        return f"{count} replicas are {_best(chosen)}: {figures}; no pipeline meets the constraints"
    if chosen.optimal and times_better(problem.objective, chosen, pipeline) >= SLIGHTLY:
        return f"{count} replicas beat every pipeline: {figures}"
    none_more = "" if not chosen.optimal else f"; no pipeline {_gives_more(problem)}"
    return f"{count} replicas are {_best(chosen)}: {figures}{none_more}"


def _pipeline(problem: Problem, chosen: Solution, rivals: Rivals) -> str:
    count = len(chosen.stages)
    a_pipeline = f"{wording.article(count)} {count}-stage pipeline{_on_nodes(chosen)}"
    told = f"{a_pipeline} {_gives(problem, chosen)}"
    if problem.min_stages > 1:
        told += f" ({problem.min_stages} or more were asked for)"
    fewer = [one for one in (rivals.single, rivals.replicas) if one is not None]
    if not fewer:
        return f"{told}; no single node meets the constraints"
    best = min(fewer, key=lambda one: rank(problem.objective, one))
    if rank(problem.objective, best) <= rank(problem.objective, chosen):
        return f"{told}; {_whole(problem, best)}"
    beaten = [("the best single node", rivals.single), ("the best replicas", rivals.replicas)]
    return f"{told}{_times(problem, chosen, beaten)}: {_whole(problem, best)}"


def _times(problem: Problem, chosen: Solution, beaten: list[tuple[str, Solution | None]]) -> str:
    """As ", 1.8× the best single node and 1.2× the best pipeline"."""
    quick = "as quick as " if problem.objective is Objective.LATENCY else ""
    told = [
        f"{wording.factor(times)} {quick}{title}"
        for title, other in beaten
        if other is not None
        and (times := times_better(problem.objective, chosen, other)) >= SLIGHTLY
    ]
    return f", {wording.listed(told)}" if told else ""


def _unproven(problem: Problem, chosen: Solution) -> str:
    if chosen.optimal:
        return ""
    if chosen.gap >= 1:
        return "; that none is better is not proven"
    if problem.objective is Objective.LATENCY:
        return f"; none answers more than {wording.percent(chosen.gap)} sooner"
    more = chosen.gap / (1 - chosen.gap)
    return f"; none gives more than {wording.percent(more)} more"


def _gives_more(problem: Problem) -> str:
    return "answers sooner" if problem.objective is Objective.LATENCY else "gives more"


def _best(chosen: Solution) -> str:
    return "best" if chosen.optimal else "the best found"


def _form(solution: Solution) -> str:
    return f"{stages(len(solution.stages))}{_on_nodes(solution)}"


def _on_nodes(solution: Solution) -> str:
    """Nothing where each stage has one node."""
    nodes = len(solution.node_ids)
    return f" on {nodes} nodes" if nodes > len(solution.stages) else ""


def _whole(problem: Problem, solution: Solution) -> str:
    """The whole model on one node, or on several."""
    if len(solution.node_ids) == 1:
        return _alone(problem, solution)
    return f"{len(solution.node_ids)} replicas {_give(problem, solution)}"


def _alone(problem: Problem, solution: Solution) -> str:
    return f"{problem.label(solution.node_ids[0])} alone {_gives(problem, solution)}"


def _gives(problem: Problem, solution: Solution) -> str:
    if problem.objective is Objective.LATENCY:
        return f"answers in {wording.duration(solution.latency_s)}"
    return f"gives {wording.rate(solution.requests_per_s)}"


def _give(problem: Problem, solution: Solution) -> str:
    return _gives(problem, solution).replace("answers", "answer").replace("gives", "give")
