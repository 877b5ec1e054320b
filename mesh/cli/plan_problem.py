"""`mesh plan --problem FILE`: solves a planner problem out of a file, without any node; which file it is, it says itself."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesh.cli import plan_show
from mesh.cli.failure import line
from mesh.cli.options import Parser, existing_file
from mesh.cli.plan_patience import patient
from mesh.cli.problem_wishes import with_wishes
from mesh.cli.session import Session
from mesh.cli.terminal import cleaned, json_line
from mesh.errors import InfeasibleError, UsageError
from mesh.fleet.plan_report import Weighed, report
from mesh.ids import ModelId
from mesh.planning import (
    PlannedStage,
    Problem,
    Solution,
    explain,
    problem_file,
    published,
    solve,
)
from mesh.planning.front import pareto_front
from mesh.planning.problem_file import ModelNote
from mesh.planning.strict_json import MAX_TEXT_BYTES, parse_object
from mesh.wire.planned import PlanReply


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A problem of a file; `is_published`: in the published format, whose answer has no replicas."""

    problem: Problem
    model: ModelNote
    is_published: bool

    @property
    def boundaries(self) -> tuple[int, ...]:
        """The operator at which each layer starts; layers count as operators where that is unknown."""
        return self.model.boundaries or tuple(range(self.problem.layers + 1))


def configure(parser: Parser) -> None:
    group = parser.add_argument_group(
        "a problem out of a file", "Solved here: no node is asked, and no MODEL is given."
    )
    group.add_argument(
        "--problem",
        type=existing_file,
        metavar="FILE",
        help="plan what this file asks: one of --dump-problem, or a published planner case",
    )


def run(args: argparse.Namespace, session: Session) -> int:
    """Raises: UsageError; InfeasibleError where the answer is not JSON, which says it itself."""
    question = read_question(args.problem)
    problem = with_wishes(question.problem, args)
    if not args.json:
        with patient(args, session):
            reply = _reply(args, question, problem)
        return plan_show.show(reply, args, session)
    if args.svg is not None or args.dump_problem is not None:
        raise UsageError("--problem with --json writes no other file: leave --json out")
    if args.explain or args.pareto:
        raise UsageError(
            "--problem with --json tells the best plan only: leave --json, or --explain and "
            "--pareto, out"
        )
    try:
        solution = solve(problem)
    except InfeasibleError as error:
        session.terminal.show(json_line(answer(None, question)))
        session.terminal.note(line(error))
        return error.exit_status
    session.terminal.show(json_line(answer(solution, question)))
    return 0


def read_question(path: Path) -> Question:
    """Raises: UsageError."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    raw = parse_object(text, "the problem file")
    if raw.get("format") == published.FORMAT:
        case = published.from_plain(raw)
        return Question(problem=case.problem, model=ModelNote(name=case.name), is_published=True)
    if raw.get("format") == problem_file.FORMAT:
        document = problem_file.from_plain(raw)
        problem = problem_file.problem_of(document)
        return Question(problem=problem, model=document.model, is_published=False)
    raise UsageError(
        f'the problem file must say "format": "{problem_file.FORMAT}" or "{published.FORMAT}"'
    )


def answer(solution: Solution | None, question: Question) -> dict[str, Any]:
    """The answer for programs; layers count from 1, the last one included. None: there is no plan."""
    if solution is None:
        figures: dict[str, Any] = {"bottleneck_s": None, "latency_s": None}
        return {"feasible": False, **figures, "optimal": False, "gap": None, "schedule": []}
    stages = [_stage(stage, question) for stage in solution.stages]
    return {
        "feasible": True,
        "bottleneck_s": solution.bottleneck_s,
        "latency_s": solution.latency_s,
        "optimal": solution.optimal,
        "gap": solution.gap,
        "schedule": stages,
    }


def _stage(stage: PlannedStage, question: Question) -> dict[str, Any]:
    """`device` is the one with the largest share; a published case has no other."""
    widest = max(stage.replicas, key=lambda replica: replica.share)
    members = {
        "device": widest.node_id,
        "first_layer": stage.layers.start + 1,
        "last_layer": stage.layers.stop,
    }
    if question.is_published and len(stage.replicas) == 1:
        return members
    replicas = [{"device": one.node_id, "share": one.share} for one in stage.replicas]
    return {**members, "replicas": replicas}


def _reply(args: argparse.Namespace, question: Question, problem: Problem) -> PlanReply:
    """As a node would answer. Raises: InfeasibleError."""
    solution = solve(problem)
    explanation = explain(problem, solution, with_helps=args.explain)
    weighed = Weighed(
        name=question.model.name or args.problem.name,
        model_id=ModelId(question.model.model_id),
        boundaries=question.boundaries,
        problem=problem,
        explanation=explanation,
        front=pareto_front(problem, known=explanation.plans) if args.pareto else (),
        from_mesh=False,
        with_problem=args.dump_problem is not None,
    )
    return cleaned(report(weighed))
