"""`mesh plan FILE --devices …`: what boards would do with a model, before anybody bought them; asks no node."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from mesh.cli import plan_show
from mesh.cli.link_speed import bytes_per_s
from mesh.cli.model_derive import map_file
from mesh.cli.options import Parser
from mesh.cli.plan_patience import patient
from mesh.cli.problem_wishes import with_wishes
from mesh.cli.session import Session
from mesh.cli.terminal import cleaned
from mesh.cli.wish_options import time_s
from mesh.config import Config, load
from mesh.device.board_list import read_boards
from mesh.device.profile_files import load_profiles
from mesh.errors import ModelError, UsageError
from mesh.fleet.plan_report import Weighed, report
from mesh.fleet.what_if import GIGABIT_BYTES_PER_S, Supposition, Wire, rate_range, supposed
from mesh.ids import ModelId
from mesh.model import read_model
from mesh.model.limits import model_limits
from mesh.planning import explain, solve
from mesh.planning.front import pareto_front
from mesh.planning.pieces import Pieces, pieces_of
from mesh.store.disk import hash_file
from mesh.wire.planned import PlanReply


@dataclass(frozen=True, slots=True, kw_only=True)
class _ModelFile:
    name: str
    model_id: ModelId
    pieces: Pieces


def configure(parser: Parser) -> None:
    group = parser.add_argument_group(
        "boards that are not there",
        "MODEL is a .tflite file then, and no node is asked. Times are measured ones scaled by "
        "published times of these boards: a plan says how far off it may be.",
    )
    group.add_argument(
        "--devices",
        metavar="LIST",
        help="plan for these boards, as pi4:2,pi5,orin-nano or pi4@8gb:2 (sizes of memory)",
    )
    group.add_argument(
        "--link",
        type=bytes_per_s,
        metavar="SPEED",
        help="what links between them carry, as 940mbit or 50MB/s (940mbit)",
    )
    group.add_argument(
        "--link-latency",
        type=time_s,
        metavar="TIME",
        help="what a message takes on its way beside its bytes, as 0.5ms (0)",
    )


def run(args: argparse.Namespace, session: Session) -> int:
    """Raises: UsageError, ModelError, InfeasibleError."""
    if args.model is None:
        raise UsageError("--devices plans a model file: write mesh plan FILE.tflite --devices …")
    config, profiles = load({}, session.environment), load_profiles()
    boards = read_boards(args.devices.split(","), profiles)
    file = _read(Path(args.model), config)
    supposition = supposed(boards, file.pieces, profiles, wire=_wire(args))
    supposition = replace(supposition, problem=with_wishes(supposition.problem, args))
    with patient(args, session):
        reply = _reply(file, supposition, args)
    return plan_show.show(reply, args, session)


def _read(path: Path, config: Config) -> _ModelFile:
    """Raises: UsageError, ModelError."""
    if not path.is_file():
        raise UsageError(f"there is no file {str(path)!r}: --devices plans a .tflite file")
    try:
        content = map_file(path)
        model = read_model(content, model_limits(config))
    except ModelError as error:
        raise type(error)(f"{path.name}: {error}") from error
    return _ModelFile(
        name=path.name,
        model_id=hash_file(path),
        pieces=pieces_of(model, max_boundary_bytes=config.max_payload_bytes),
    )


def _wire(args: argparse.Namespace) -> Wire:
    return Wire(
        goodput_bytes_per_s=args.link or GIGABIT_BYTES_PER_S, latency_s=args.link_latency or 0.0
    )


def _reply(file: _ModelFile, supposition: Supposition, args: argparse.Namespace) -> PlanReply:
    """As a node would answer. Raises: InfeasibleError."""
    problem = supposition.problem
    solution = solve(problem)
    explanation = explain(problem, solution, with_helps=args.explain or args.json)
    weighed = Weighed(
        name=file.name,
        model_id=file.model_id,
        boundaries=file.pieces.boundaries,
        problem=problem,
        explanation=explanation,
        front=pareto_front(problem, known=explanation.plans) if args.pareto else (),
        from_mesh=False,
        with_problem=args.dump_problem is not None,
        supposed=supposition.notes,
        rate_range=rate_range(supposition, solution),
    )
    return cleaned(report(weighed))
