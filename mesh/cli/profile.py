"""`mesh profile`: says what this machine is, what it has and how fast it is, and drafts a profile of it."""

import argparse
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone

from mesh.cli import profile_view
from mesh.cli.options import Parser, add_json, examples
from mesh.cli.profile_facts import Report, look, members, plain_profile, toml
from mesh.cli.profile_networks import (
    OnStep,
    Timed,
    compared_networks,
    fitted_networks,
    time_whole,
)
from mesh.cli.profile_rates import Rates, measure_rates
from mesh.cli.session import Session
from mesh.cli.steps import Step, Steps, steps_for
from mesh.cli.terminal import cleaned
from mesh.device.board import Board
from mesh.device.profile_files import load_profiles
from mesh.device.threads import most_threads
from mesh.errors import DeviceError, UsageError
from mesh.runtime.detect import detect_runtime
from mesh.runtime.port import Runtime


def configure(parser: Parser) -> None:
    parser.usage = "mesh profile [options]"
    parser.description = (
        "Say what this machine is recognised as and by which rule, what was found on it, and how "
        "long networks take whose times are published; no node is needed. --toml prints a profile "
        "to commit to device_profiles/, with how fast each kind of operator runs here: what plans "
        "for boards that are not there are made from."
    )
    parser.epilog = examples(
        "mesh profile",
        "mesh profile --list                     # the boards that plans may ask for",
        "mesh profile --toml > my-board.toml     # takes minutes: let the board be idle",
        "mesh profile --no-timing --json | jq .profile.unknown",
    )
    parser.add_argument("--list", action="store_true", help="show the profiles that there are")
    parser.add_argument("--toml", action="store_true", help="print a profile that can be committed")
    parser.add_argument(
        "--rates", action="store_true", help="time each kind of operator as well (minutes)"
    )
    parser.add_argument("--no-timing", action="store_true", help="time nothing")
    add_json(parser)


def run(args: argparse.Namespace, session: Session) -> int:
    _check(args)
    if args.list:
        return _list(args, session)
    report = cleaned(look(Board()))
    day = f"{datetime.now(tz=timezone.utc):%Y-%m-%d}"
    found = _Found(report=report) if args.no_timing else _measured(report, day, args, session)
    text = toml(report, found.rates, day=day) if args.toml else None
    if args.json:
        told = members(report, found.timed, found.rates)
        session.terminal.show_json(**told, runtime=found.runtime or None, toml=text)
    elif text is not None:
        session.terminal.show(text)
    else:
        session.terminal.show(
            profile_view.render(
                report, found.runtime, found.timed, found.rates, session.terminal.canvas
            )
        )
    return 0


def _check(args: argparse.Namespace) -> None:
    """Words that mean nothing together are an error. Raises: UsageError."""
    said = {
        "--list": args.list,
        "--toml": args.toml,
        "--rates": args.rates,
        "--no-timing": args.no_timing,
    }
    for one, others in (
        ("--list", ("--toml", "--rates", "--no-timing")),
        ("--rates", ("--no-timing",)),
    ):
        for other in others:
            if said[one] and said[other]:
                raise UsageError(f"{one} and {other} exclude each other: leave one out")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """`runtime` is what was timed with, "" where nothing was."""

    report: Report
    runtime: str = ""
    timed: tuple[Timed, ...] = ()
    rates: Rates | None = None


def _measured(report: Report, day: str, args: argparse.Namespace, session: Session) -> _Found:
    """Rates take minutes: they are measured where they were asked for, and for a profile."""
    try:
        chosen = detect_runtime()
    except DeviceError as error:  # what was found without one is worth telling
        session.terminal.note(f"nothing was timed: {error}")
        return _Found(report=report)
    runtime = f"{chosen.info().name} {chosen.info().version}"
    source = f"mesh profile, {day}: {_where(report)}, {runtime}, 1 thread"
    with closing(steps_for(session.terminal, quiet=args.json)) as steps:
        return _Found(
            report=report,
            runtime=runtime,
            timed=() if args.toml else _time(report, chosen, steps),
            rates=_rates(report, chosen, source, steps) if args.toml or args.rates else None,
        )


def _list(args: argparse.Namespace, session: Session) -> int:
    profiles = load_profiles()
    if args.json:
        session.terminal.show_json(profiles=[plain_profile(profile) for profile in profiles])
    else:
        session.terminal.show(profile_view.render_profiles(profiles, session.terminal.canvas))
    return 0


def _time(report: Report, runtime: Runtime, steps: Steps) -> tuple[Timed, ...]:
    """With one thread, as published times are compared, and with as many as a node would try."""
    most = most_threads(0, int(report.facts.cores))
    return time_whole(
        compared_networks(),
        (1,) if most == 1 else (1, most),
        runtime,
        available_bytes=report.status.memory_available_bytes,
        typical=report.profile.typical,
        on_step=_stepper(steps),
    )


def _rates(report: Report, runtime: Runtime, source: str, steps: Steps) -> Rates:
    return measure_rates(
        fitted_networks(),
        runtime,
        available_bytes=report.status.memory_available_bytes,
        source=source,
        on_step=_stepper(steps),
    )


def _stepper(steps: Steps) -> OnStep:
    def show(name: str, done: int, total: int) -> None:
        steps.show([Step(label=f"timing {name}", done=done, total=total)])

    return show


def _where(report: Report) -> str:
    """What was measured, for the record: the board, or the processor where no board is named."""
    mode = f" in mode {report.power_mode}" if report.power_mode else ""
    return f"{report.facts.model or report.found.core or report.facts.machine}{mode}"
