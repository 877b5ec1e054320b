"""Looks a machine over for its profile: cores, clock, ports, sensors that are there. Nothing is timed.

Planning needs none of it; `mesh profile` shows it, and drafts a profile from it.
"""

from dataclasses import dataclass
from pathlib import Path

from mesh.device.profile import Power, PowerMode, Thermal
from mesh.device.sensors import Sign, ThermalSensors
from mesh.device.system_files import read_integer, read_text

_MAX_NAME_CHARS = 64
_MAX_PORTS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PortFound:
    """A network port that is hardware; `label_bits_per_s` is what it was linked at, None without a link."""

    name: str
    is_wifi: bool
    label_bits_per_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A thermal zone and what it tells now."""

    type: str
    temperature_c: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was found; None or empty where the machine does not say."""

    core: str | None
    clock_hz: int | None
    allowed_clock_hz: int | None
    zones: tuple[Zone, ...]
    signs: tuple[Sign, ...]
    ports: tuple[PortFound, ...]


def survey(thermal: Thermal, root: Path = Path("/")) -> Survey:
    """`thermal` names the sensors to look for; `allowed_clock_hz` is what the system caps the clock at."""
    sensors = ThermalSensors(root)
    return Survey(
        core=_core(root),
        clock_hz=_clock_hz(root, "cpuinfo_max_freq"),
        allowed_clock_hz=_clock_hz(root, "scaling_max_freq"),
        zones=tuple(Zone(type=kind, temperature_c=c) for kind, c in sensors.zones()),
        signs=sensors.signs(thermal),
        ports=_ports(root),
    )


def mode_named(power: Power, name: str) -> PowerMode | None:
    """What the profile knows of a power mode."""
    return next((mode for mode in power.modes if mode.name == name), None)


def _clock_hz(root: Path, file: str) -> int | None:
    """The highest of all cores; cpufreq counts in kHz (Documentation/admin-guide/pm/cpufreq.rst)."""
    found = [
        read_integer(core / "cpufreq" / file)
        for core in (root / "sys/devices/system/cpu").glob("cpu[0-9]*")
    ]
    clocks = [kilohertz * 1000 for kilohertz in found if kilohertz is not None and kilohertz > 0]
    return max(clocks, default=None)


def _core(root: Path) -> str | None:
    """The cores' design: of a device tree, else the processor's name in /proc/cpuinfo."""
    for file in sorted((root / "proc/device-tree/cpus").glob("cpu@*/compatible")):
        text = read_text(file)
        if text:
            return core_name(text.split("\0")[0])
    for line in (read_text(root / "proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name" and value.strip():
            return _cleaned(value.strip())
    return None


def core_name(compatible: str) -> str:
    """As "Cortex-A76" for "arm,cortex-a76"."""
    name = compatible.rpartition(",")[2]
    return _cleaned("-".join(part.capitalize() for part in name.split("-")))


def _ports(root: Path) -> tuple[PortFound, ...]:
    """Those with a device behind them: no loopback, bridge or tunnel."""
    found = sorted((root / "sys/class/net").glob("*"))
    return tuple(_port(port) for port in found if (port / "device").exists())[:_MAX_PORTS]


def _port(port: Path) -> PortFound:
    megabits = read_integer(port / "speed")  # -1 without a link; Wi-Fi does not say
    return PortFound(
        name=_cleaned(port.name),
        is_wifi=(port / "wireless").exists() or (port / "phy80211").exists(),
        label_bits_per_s=megabits * 1_000_000 if megabits is not None and megabits > 0 else None,
    )


def _cleaned(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:_MAX_NAME_CHARS]
