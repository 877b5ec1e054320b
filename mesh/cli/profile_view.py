"""Renders what this machine is, what it has and how fast it is; and the profiles that there are; pure."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from mesh.cli import figures
from mesh.cli.canvas import (
    BAD,
    FAINT,
    GOOD,
    HEADING,
    WARNING,
    Canvas,
    Cell,
    Column,
    labelled,
    paragraph,
    table,
)
from mesh.cli.profile_facts import Report, differences, rule
from mesh.cli.profile_networks import Timed
from mesh.cli.profile_rates import Rates
from mesh.device.profile import DeviceProfile, ReferenceRate, Typical
from mesh.device.survey import PortFound

_TIMED = (
    Column(title="INFERENCE"),
    Column(title="THREADS", is_number=True),
    Column(title="TIME", is_number=True),
    Column(title="PUBLISHED", is_number=True),
    Column(title="", wraps=True),
)
_RATES = (
    Column(title="OPERATOR", flexible=True),
    Column(title="FORMAT"),
    Column(title="SPEED", is_number=True),
    Column(title="WITHIN", is_number=True),
)
_PROFILES = (
    Column(title="NAME"),
    Column(title="BOARD", flexible=True),
    Column(title="CORES × GHZ", is_number=True),
    Column(title="GIB", is_number=True),
    Column(title="MOBILENET", is_number=True),
    Column(title="RESNET-50", is_number=True),
)


def render(
    report: Report, runtime: str, timed: Sequence[Timed], rates: Rates | None, canvas: Canvas
) -> str:
    """`runtime` is what was timed with, "" where nothing was."""
    return canvas.draw(_parts(report, runtime, timed, rates))


def render_profiles(profiles: Sequence[DeviceProfile], canvas: Canvas) -> str:
    """All that there are, with the names by which plans ask for them."""
    lines = [
        table(_PROFILES, (_profile_row(each) for each in profiles)),
        Text(),
        paragraph(
            "Published times of one inference, float32, all cores.",
            style=FAINT,
        ),
    ]
    return canvas.draw(lines)


def _parts(
    report: Report, runtime: str, timed: Sequence[Timed], rates: Rates | None
) -> Iterator[RenderableType]:
    profile = report.profile
    yield Text.assemble((profile.title, HEADING), (f"  {profile.name}", FAINT))
    yield labelled(_facts(report), indent=2)
    differing = differences(report)
    if differing:
        yield Text()
        yield labelled((("differs", each) for each in differing), indent=2, label_style=WARNING)
    if timed:
        yield Text()
        rows = (_timed_row(each, profile.typical) for each in timed)
        yield table(_TIMED, rows, indent=2)
        yield paragraph(f"with {runtime}", indent=2, style=FAINT)
    if rates is not None:
        yield Text()
        yield table(_RATES, (_rate_row(each) for each in rates.reference), indent=2)
        yield from (paragraph(each, indent=2, style=FAINT) for each in rates.passed_over)
    if profile.quirks:
        yield Text()
        yield labelled(((quirk.about.value, quirk.text) for quirk in profile.quirks), indent=2)


def _facts(report: Report) -> Iterator[tuple[str, Cell]]:
    found = report.found
    yield "recognised", rule(report)
    yield "processor", ", ".join(_processor(report))
    yield "memory", "; ".join(_memory(report))
    yield "power mode", _power(report)
    yield "temperature", _heat(report)
    yield "throttled", _throttling(report)
    if found.ports:
        yield "ports", ", ".join(_port(port) for port in found.ports)
    if report.profile.unknown:
        yield "not known", ", ".join(report.profile.unknown)


def _processor(report: Report) -> Iterator[str]:
    facts, found = report.facts, report.found
    yield figures.count(facts.cores, "core")
    if found.core:
        yield found.core
    if found.clock_hz:
        yield f"up to {_gigahertz(found.clock_hz)}"
    yield facts.machine


def _memory(report: Report) -> Iterator[str]:
    size = figures.memory(report.facts.memory_bytes)
    reserved = figures.memory(report.profile.memory.reserved_bytes)
    yield f"{size}, of which {reserved} are left to the system"
    yield f"pages of {report.facts.page_bytes // 1024} KiB"


def _power(report: Report) -> str:
    mode, power = report.mode, report.profile.power
    if mode is not None:
        others = ", ".join(each.name for each in power.modes if each is not mode)
        cores = figures.count(mode.cores, "core")
        return f"{mode.name}: {cores} up to {_gigahertz(mode.clock_hz)} (others: {others})"
    if report.power_mode:
        return report.power_mode
    if power.query:
        return f"not told: `{' '.join(power.query)}` gave none"
    return "none known" if "power" in report.profile.unknown else "none to choose"


def _heat(report: Report) -> Text:
    thermal, now_c = report.profile.thermal, report.status.temperature_c
    if now_c is None:
        return Text("no thermal zone tells one", style=FAINT)
    is_hot = thermal.hot_c is not None and now_c >= thermal.hot_c
    zones = {zone.type for zone in report.found.zones}
    named = next((zone for zone in thermal.zones if zone in zones), "the hottest zone")
    text = Text.assemble((figures.temperature(now_c), WARNING if is_hot else GOOD), f" in {named}")
    if thermal.hot_c is not None and thermal.throttles_c is not None:
        limits = (figures.temperature(each) for each in (thermal.hot_c, thermal.throttles_c))
        text.append("; hot from {}, lowers its clock from {}".format(*limits))
    return text


def _throttling(report: Report) -> Text:
    if report.status.throttled is None:
        return Text("not known: it has none of the sensors that the profile names", style=FAINT)
    words = [word for sign in report.found.signs for word in sign.signs]
    if report.status.throttled:
        return Text(f"yes: {', '.join(words) or 'by its temperature'}", style=BAD)
    names = ", ".join(sign.file.rpartition("/")[2] for sign in report.found.signs)
    return Text.assemble(("no", GOOD), f" ({names or 'by its temperature'})")


def _port(port: PortFound) -> str:
    if port.is_wifi:
        return f"{port.name} Wi-Fi"
    if port.label_bits_per_s is None:
        return port.name
    return f"{port.name} {port.label_bits_per_s / 1e6:,.0f} Mbit/s"


def _timed_row(timed: Timed, typical: Typical) -> tuple[Cell, ...]:
    return (
        timed.name,
        str(timed.threads),
        figures.milliseconds(timed.seconds),
        figures.milliseconds(timed.published_s),
        _verdict(timed, typical),
    )


def _verdict(timed: Timed, typical: Typical) -> Text:
    """How a time stands to the band around the published one."""
    if timed.seconds is None:
        return Text(timed.reason, style=WARNING)
    if not (timed.published_s and typical.least_factor and typical.most_factor):
        return Text()
    ratio = timed.seconds / timed.published_s
    if typical.least_factor <= ratio <= typical.most_factor:
        return Text(f"×{ratio:.2f}, as expected", style=GOOD)
    word = "faster" if ratio < 1 else "slower"
    return Text(f"×{ratio:.2f}, {word} than expected", style=WARNING)


def _rate_row(rate: ReferenceRate) -> tuple[Cell, ...]:
    """Effort is counted in multiply-accumulates of a dense convolution."""
    return (
        "all others" if rate.operator == "*" else rate.operator,
        rate.data_type,
        f"{1e-9 / rate.seconds_per_unit:,.1f} G/s",
        f"×{rate.factor:g}",
    )


def _profile_row(profile: DeviceProfile) -> tuple[Cell, ...]:
    processor, sizes = profile.processor, profile.memory.sizes_bytes
    is_known = processor.cores is not None and processor.clock_hz is not None
    return (
        profile.aliases[0] if profile.aliases else profile.name,
        profile.title,
        f"{processor.cores} × {(processor.clock_hz or 0) / 1e9:.2f}"
        if is_known
        else figures.MISSING,
        "–".join(dict.fromkeys(f"{size / (1 << 30):g}" for size in (*sizes[:1], *sizes[-1:])))
        or figures.MISSING,
        figures.milliseconds(profile.typical.mobilenet_v2_s),
        figures.milliseconds(profile.typical.resnet_50_s),
    )


def _gigahertz(hertz: int) -> str:
    return f"{hertz / 1e9:.2f} GHz"
