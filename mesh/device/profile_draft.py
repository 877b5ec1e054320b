"""Drafts the profile of a board that has none, from what the board says of itself; pure.

What it does not say is named as unknown: nothing is guessed but what the comments call a judgement.
"""

import re
from dataclasses import replace
from typing import Any

from mesh.device.profile import (
    BoardFacts,
    DeviceProfile,
    Match,
    Memory,
    Network,
    Port,
    Processor,
    Thermal,
)
from mesh.device.profile_files import lacking_facts
from mesh.device.profile_toml import to_toml
from mesh.device.survey import Survey

_REVISION = re.compile(r"\s+Rev(ision)?\s+[\w.]+$")
_SOLD_IN_EIGHTHS = (8, 12)
"""Memory is sold in powers of two and in one and a half times these."""


def draft(facts: BoardFacts, found: Survey, generic: DeviceProfile, *, day: str) -> str:
    """The file of a new profile for a board that has a model; `generic` is how it is recognised now."""
    model = _REVISION.sub("", facts.model or "").strip()
    profile = _profile(model, facts, found, generic)
    here = f"This board, asked by `mesh profile` on {day}"
    sources = {
        "processor.clock_hz": f"{here}: cpuinfo_max_freq.",
        "memory.reserved_bytes": f"Judgement: as {generic.name} has it.",
        "memory.sizes_bytes": f"{here}: {facts.memory_bytes:,} bytes, rounded up to what is sold.",
        "unknown": "Not known yet: what you find out goes below, with its source.",
        "network.ethernet": "It has such a port; what it carries is for you to find out.",
        "network.wifi": "It has Wi-Fi; what it carries is for you to find out.",
    }
    profile = replace(profile, unknown=_folded(lacking_facts(_plain(profile))))
    return to_toml(
        profile,
        sources,
        heading=f"{model}. Drafted by `mesh profile` on {day}; look through it before you commit it.",
        otherwise=f"{here}.",
    )


def profile_name(model: str) -> str:
    """As "radxa-rock-5b" for "Radxa ROCK 5B": what a file may be called."""
    return re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-") or "board"


def size_as_sold(memory_bytes: int) -> int:
    """The least size that is sold and holds so much: the system takes some of it for itself."""
    power = 1 << max(0, memory_bytes.bit_length() - 1)
    sizes = (power * eighths // 8 for eighths in (*_SOLD_IN_EIGHTHS, 16))
    return next(size for size in sizes if size >= memory_bytes)


def _profile(model: str, facts: BoardFacts, found: Survey, generic: DeviceProfile) -> DeviceProfile:
    zones = {zone.type for zone in found.zones}
    return DeviceProfile(
        name=profile_name(model),
        title=model,
        match=Match(machines=(facts.machine,), model_prefixes=(model,)),
        processor=Processor(cores=facts.cores, core=found.core, clock_hz=found.clock_hz),
        memory=Memory(
            reserved_bytes=generic.memory.reserved_bytes,
            sizes_bytes=(size_as_sold(facts.memory_bytes),),
            page_bytes=facts.page_bytes,
        ),
        thermal=Thermal(zones=tuple(zone for zone in generic.thermal.zones if zone in zones)),
        network=Network(
            ethernet=Port() if any(not port.is_wifi for port in found.ports) else None,
            wifi=Port() if any(port.is_wifi for port in found.ports) else None,
        ),
    )


def _plain(profile: DeviceProfile) -> dict[str, Any]:
    """The facts that it has, as its file would give them."""
    tables: dict[str, Any] = {
        "processor": profile.processor,
        "memory": profile.memory,
        "thermal": profile.thermal,
    }
    plain = {
        name: {key: value for key in table.__slots__ if (value := getattr(table, key))}
        for name, table in tables.items()
    }
    ports = {"ethernet": profile.network.ethernet, "wifi": profile.network.wifi}
    return plain | {"network": {name: {} for name, port in ports.items() if port is not None}}


def _folded(lacking: tuple[str, ...]) -> tuple[str, ...]:
    """A table of which nothing is known by its own name."""
    return tuple(
        dict.fromkeys(
            key.partition(".")[0] if key.partition(".")[0] in {"power", "typical"} else key
            for key in lacking
        )
    )
