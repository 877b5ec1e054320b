"""Why a plan is the plan: one node against the best pipeline, and why each other node is left out.

Values and sentences only; laying them out is for the command line.
"""

import math
from dataclasses import dataclass, replace

from mesh.errors import InfeasibleError
from mesh.planning import wording
from mesh.planning.left_out import LeftOut, left_out_nodes
from mesh.planning.limited import Limited, limited_nodes
from mesh.planning.problem import Objective, Problem
from mesh.planning.solution import Solution
from mesh.planning.solver import rank, solve


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`best_pipeline` has two stages or more. Where one of the two is None, `why_no_…` says why."""

    chosen: Solution
    best_single: Solution | None
    best_pipeline: Solution | None
    why_no_single: str
    why_no_pipeline: str
    left_out: tuple[LeftOut, ...]
    limited: tuple[Limited, ...]
    verdict: str


def explain(problem: Problem, solution: Solution) -> Explanation:
    """Compare a solution of the problem, found or given, with what else could be done."""
    single, why_no_single = _best_single(problem, solution)
    pipeline, why_no_pipeline = _best_pipeline(problem, solution)
    is_best = solution.optimal or _is_best(problem, solution)
    explanation = Explanation(
        chosen=solution,
        best_single=single,
        best_pipeline=pipeline,
        why_no_single=why_no_single,
        why_no_pipeline=why_no_pipeline,
        left_out=left_out_nodes(problem, solution, is_best=is_best),
        limited=limited_nodes(problem),
        verdict="",
    )
    verdict = _best_verdict(problem, explanation) if is_best else _given_verdict(problem, solution)
    return replace(explanation, verdict=verdict)


def _best_single(problem: Problem, known: Solution) -> tuple[Solution | None, str]:
    """The best node alone, or why there is none; what is known to be optimal is not sought again."""
    if known.optimal and len(known.stages) == 1:
        return known, ""
    return _best(replace(problem, min_stages=1, max_stages=1))


def _best_pipeline(problem: Problem, known: Solution) -> tuple[Solution | None, str]:
    if problem.max_stages == 1:
        return None, "only one stage was asked for"
    if known.optimal and len(known.stages) > 1 and problem.min_stages <= 2:
        return known, ""
    return _best(replace(problem, min_stages=2))


def _best(problem: Problem) -> tuple[Solution | None, str]:
    try:
        return solve(problem), ""
    except InfeasibleError as error:
        return None, str(error)


def _is_best(problem: Problem, solution: Solution) -> bool:
    best, _ = _best(problem)
    if best is None or _broken(problem, solution):
        return False
    return rank(problem.objective, solution) <= rank(problem.objective, best)


def _broken(problem: Problem, solution: Solution) -> str:
    """The constraint that a given plan does not keep."""
    if solution.latency_s > problem.latency_bound_s:
        return f"it misses the latency bound of {wording.duration(problem.latency_bound_s)}"
    if len(solution.stages) < problem.min_stages:
        return f"it has fewer than {problem.min_stages} stages"
    if problem.max_stages is not None and len(solution.stages) > problem.max_stages:
        return f"it has more than {problem.max_stages} stages"
    return ""


def _given_verdict(problem: Problem, chosen: Solution) -> str:
    broken = _broken(problem, chosen)
    given = f"the given plan of {_stages(chosen)} {_figure(problem, chosen)}"
    if broken:
        given = f"{given}, but {broken}"
    best, why_none = _best(problem)
    if best is None:
        return f"{given}; no plan keeps every constraint: {why_none}"
    return f"{given}; the best plan, of {_stages(best)}, {_figure(problem, best)}"


def _best_verdict(problem: Problem, explanation: Explanation) -> str:
    chosen, single = explanation.chosen, explanation.best_single
    if len(chosen.stages) == 1:
        return _single_verdict(problem, explanation)
    pipeline = f"a {len(chosen.stages)}-stage pipeline {_figure(problem, chosen)}"
    forced = f" ({problem.min_stages} or more were asked for)" if problem.min_stages > 1 else ""
    if single is None:
        return f"{pipeline}{forced}; no single node meets the constraints"
    if rank(problem.objective, single) <= rank(problem.objective, chosen):
        return f"{pipeline}{forced}; {_alone(problem, single)}"
    times = _times_better(problem, chosen, single)
    return f"{pipeline}{forced}, {times}× the best single node: {_alone(problem, single)}"


def _single_verdict(problem: Problem, explanation: Explanation) -> str:
    alone = f"one node is best: {_alone(problem, explanation.chosen)}"
    pipeline = explanation.best_pipeline
    if pipeline is None:
        return f"{alone}; no pipeline meets the constraints"
    return f"{alone}, the best pipeline {_figure(problem, pipeline)}"


def _stages(solution: Solution) -> str:
    return "1 stage" if len(solution.stages) == 1 else f"{len(solution.stages)} stages"


def _alone(problem: Problem, solution: Solution) -> str:
    name = problem.label(solution.stages[0].node_id)
    return f"{name} alone {_figure(problem, solution)}"


def _figure(problem: Problem, solution: Solution) -> str:
    if problem.objective is Objective.LATENCY:
        return f"answers in {wording.duration(solution.latency_s)}"
    return f"gives {wording.rate(solution.requests_per_s)}"


def _times_better(problem: Problem, solution: Solution, other: Solution) -> str:
    ours, theirs = (rank(problem.objective, each)[0] for each in (solution, other))
    return f"{theirs / ours if ours > 0 else math.inf:.2g}"
