"""How single figures read in a table: times, sizes, layers; a missing one is a dash."""

from collections.abc import Mapping

from mesh.ids import NodeId
from mesh.planning import wording

MISSING = "–"


def milliseconds(seconds: float | None) -> str:
    """As "12.3 ms": always in ms, so that a column can be compared."""
    if seconds is None:
        return MISSING
    ms = seconds * 1e3
    if 0 < ms < 0.01:
        return "<0.01 ms"
    return f"{ms:.2f} ms" if ms < 9.995 else f"{ms:.1f} ms" if ms < 99.95 else f"{ms:,.0f} ms"


def size(size_bytes: float | None) -> str:
    return MISSING if size_bytes is None else wording.size(size_bytes)


def memory(size_bytes: float | None) -> str:
    """As "3.1 GiB" or "612 MiB": short, for what changes all the time."""
    if size_bytes is None:
        return MISSING
    gib = size_bytes / (1 << 30)
    return f"{gib:.1f} GiB" if gib >= 0.95 else f"{size_bytes / (1 << 20):.0f} MiB"


def mebibytes(size_bytes: float | None) -> str:
    """As "31.2 MiB", nothing else than MiB; a dash for 0, which means that nobody has said."""
    if not size_bytes:
        return MISSING
    mib = size_bytes / (1 << 20)
    return f"{mib:.1f} MiB" if mib < 99.95 else f"{mib:,.0f} MiB"


def share(part: float) -> str:
    """As "31%"; what is not nothing, yet less than one, as "<1%"."""
    return "<1%" if 0 < part < 0.01 else f"{part:.0%}"


def rate(requests_per_s: float | None) -> str:
    return MISSING if requests_per_s is None else wording.rate(requests_per_s)


def per_second(period_s: float | None) -> float | None:
    """The requests per second of a pipeline with this bottleneck."""
    return 1.0 / period_s if period_s else None


def layers(start: int, stop: int) -> str:
    """Layers [start, stop) as people count them: "0–41", one alone as "7"."""
    return str(start) if stop == start + 1 else f"{start}–{stop - 1}"


def temperature(celsius: float | None) -> str:
    return MISSING if celsius is None else f"{celsius:.0f} °C"


def count(number: int, singular: str, plural: str = "") -> str:
    """As "1 node", "3 nodes"."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def with_names(text: str, names: Mapping[NodeId, str]) -> str:
    """A sentence of the planner, which knows nodes by id, with their names."""
    for node_id, name in names.items():
        text = text.replace(node_id, name)
    return text
