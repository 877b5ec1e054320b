"""What `mesh profile` tells of this machine: gathered from its files and its power tool, nothing timed or drawn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesh.cli.profile_networks import Timed
from mesh.cli.profile_rates import Rates
from mesh.device.board import Board, DeviceStatus
from mesh.device.profile import BoardFacts, DeviceProfile, PowerMode, matching_prefix, recognise
from mesh.device.profile_draft import draft
from mesh.device.profile_files import load_profiles, profile_text
from mesh.device.profile_toml import with_reference
from mesh.device.survey import Survey, mode_named, survey
from mesh.wire import codec

CLOCK_TOLERANCE = 0.02
"""Data sheets round; the steps between two caps are wider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One machine; `mode` None where it has no power mode, or one that the profile does not know."""

    facts: BoardFacts
    profile: DeviceProfile
    prefix: str | None
    status: DeviceStatus
    power_mode: str
    mode: PowerMode | None
    found: Survey


def look(board: Board, root: Path = Path("/")) -> Report:
    """Raises: DeviceError when no profile fits, or the machine does not say how much memory it has."""
    facts = board.facts()
    profile = recognise(facts, load_profiles())
    power_mode = board.power_mode(profile)
    return Report(
        facts=facts,
        profile=profile,
        prefix=matching_prefix(facts, profile),
        status=board.status(profile),
        power_mode=power_mode,
        mode=mode_named(profile.power, power_mode),
        found=survey(profile.thermal, root),
    )


def rule(report: Report) -> str:
    """Why it is this profile, as a sentence without its end."""
    model, machine = report.facts.model, report.facts.machine
    if report.prefix is not None:
        return f'it calls itself "{model}", which begins with "{report.prefix}"'
    if model is None:
        return f"it does not say what board it is; the profile is the generic one of {machine}"
    return f'no profile begins "{model}"; the profile is the generic one of {machine}'


def toml(report: Report, rates: Rates | None, *, day: str) -> str:
    """A profile to commit: the board's own with what was measured, or one drafted for a new board."""
    facts, profile = report.facts, report.profile
    if report.prefix is None and facts.model is not None:
        text = draft(facts, report.found, profile, day=day)
    else:
        text = profile_text(profile.name)
    if rates is None:
        return text
    comment = f"Measured on this board by `mesh profile --toml` on {day}, one thread."
    return with_reference(text, rates.reference, rates.anchor, comment=comment)


def members(report: Report, timed: tuple[Timed, ...], rates: Rates | None) -> dict[str, Any]:
    """For `--json`; what is not known is null."""
    facts, found = report.facts, codec.to_plain(report.found)
    return {
        "model": facts.model,
        "machine": facts.machine,
        "cores": facts.cores,
        "memory_bytes": facts.memory_bytes,
        "page_bytes": facts.page_bytes,
        **found,
        "power_mode": report.power_mode or None,
        "temperature_c": report.status.temperature_c,
        "throttled": report.status.throttled,
        "load_1min": report.status.load_1min,
        "memory_available_bytes": report.status.memory_available_bytes,
        "profile": plain_profile(report.profile),
        "rule": rule(report),
        "differences": list(differences(report)),
        "timed": codec.to_plain(timed),
        "rates": None if rates is None else codec.to_plain(rates),
    }


def plain_profile(profile: DeviceProfile) -> dict[str, Any]:
    """For `--json`: what the profile names as unknown is null, also where it would be a list."""
    plain: dict[str, Any] = codec.to_plain(profile)
    for entry in profile.unknown:
        table, _, key = entry.partition(".")
        members = plain[table]
        for name in [key] if key else list(members):
            if members.get(name) == []:
                members[name] = None
    return plain


def differences(report: Report) -> tuple[str, ...]:
    """Where the machine is not as its profile says, as sentences without their ends."""
    facts, profile, mode = report.facts, report.profile, report.mode
    said: list[str] = []
    if report.power_mode and mode is None:
        said.append(f"power mode {report.power_mode} is not in the profile")
    cores = mode.cores if mode else profile.processor.cores
    if cores is not None and facts.cores != cores:
        said.append(f"{facts.cores} cores are there for this process, the profile says {cores}")
    cap_hz, allowed_hz = mode.clock_hz if mode else None, report.found.allowed_clock_hz
    if cap_hz and allowed_hz and abs(allowed_hz / cap_hz - 1) > CLOCK_TOLERANCE:
        said.append(
            f"the clock may go to {allowed_hz / 1e9:.2f} GHz, "
            f"the profile says {cap_hz / 1e9:.2f} GHz for this mode"
        )
    page_bytes = profile.memory.page_bytes
    if page_bytes is not None and facts.page_bytes != page_bytes:
        said.append(f"pages have {facts.page_bytes} bytes, the profile says {page_bytes}")
    if profile.memory.sizes_bytes and facts.memory_bytes > max(profile.memory.sizes_bytes):
        said.append("it has more memory than the profile knows of")
    return tuple(said)
