"""Temperature and throttling, from the sensors that the device profile names."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mesh.device.profile import Thermal, ThrottleKind, ThrottleSensor
from mesh.device.system_files import read_integer, read_text

_COLDEST_C, _HOTTEST_C = -60.0, 250.0
"""Beyond these a sensor is off or broken: some Jetson zones answer −256 while their part sleeps."""
_MAX_DIGITS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """What one throttle sensor says; `signs` are the words for it, empty while nothing is wrong."""

    file: str
    value: int
    signs: tuple[str, ...]


class ThermalSensors:
    """Keeps the last value of each counter, to see whether it moved."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._counts: dict[Path, int] = {}

    def temperature_c(self, thermal: Thermal) -> float | None:
        """Of the first zone named that is there, else of the hottest zone."""
        found = dict(self.zones())
        named = [found[zone] for zone in thermal.zones if zone in found]
        return named[0] if named else max(found.values(), default=None)

    def throttled(self, thermal: Thermal, temperature_c: float | None) -> bool | None:
        """Whether any sign says so; None where there is no sign to read."""
        signs = [bool(each.signs) for each in self.signs(thermal)]
        if thermal.throttles_c is not None and temperature_c is not None:
            signs.append(temperature_c >= thermal.throttles_c)
        return any(signs) if signs else None

    def signs(self, thermal: Thermal) -> tuple[Sign, ...]:
        """What each sensor that is there says now; of a counter, whether it moved since it was asked."""
        return tuple(sign for each in thermal.sensors for sign in self._signs(each))

    def zones(self) -> Iterator[tuple[str, float]]:
        """Type and °C of every thermal zone that tells a possible temperature."""
        for zone in sorted((self._root / "sys/class/thermal").glob("thermal_zone*")):
            millidegrees = read_integer(zone / "temp")
            if millidegrees is not None and _COLDEST_C < millidegrees / 1000 < _HOTTEST_C:
                yield read_text(zone / "type") or zone.name, millidegrees / 1000

    def _signs(self, sensor: ThrottleSensor) -> Iterator[Sign]:
        for folder in self._folders(sensor):
            for file in sorted(folder.glob(sensor.file)):
                value = _read_word(file) if sensor.kind is ThrottleKind.BITS else read_integer(file)
                if value is not None:
                    name = str(file.relative_to(self._root / "sys"))
                    yield Sign(file=name, value=value, signs=self._words(sensor, file, value))

    def _folders(self, sensor: ThrottleSensor) -> Iterator[Path]:
        if not sensor.hwmon:
            yield self._root / "sys"
            return
        for device in sorted((self._root / "sys/class/hwmon").glob("hwmon*")):
            if read_text(device / "name") == sensor.hwmon:
                yield device

    def _words(self, sensor: ThrottleSensor, file: Path, value: int) -> tuple[str, ...]:
        if sensor.kind is ThrottleKind.BITS:
            return tuple(name for i, name in enumerate(sensor.bits) if name and value >> i & 1)
        if sensor.kind is ThrottleKind.FLAG:
            return (file.name,) if value else ()
        before = self._counts.get(file, value)
        self._counts[file] = value
        return (file.name,) if value > before else ()


def _read_word(file: Path) -> int | None:
    """A number in hexadecimal, with or without 0x."""
    try:
        word = int((read_text(file) or "")[:_MAX_DIGITS], 16)
    except ValueError:
        return None
    return word if word >= 0 else None
