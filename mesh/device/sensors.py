"""Temperature and throttling, from the sensors that the device profile names."""

from collections.abc import Iterator
from pathlib import Path

from mesh.device.profile import Thermal, ThrottleKind, ThrottleSensor
from mesh.device.system_files import read_integer, read_text

_COLDEST_C, _HOTTEST_C = -60.0, 250.0
"""Beyond these a sensor is off or broken: some Jetson zones answer −256 while their part sleeps."""


class ThermalSensors:
    """Keeps the last value of each counter, to see whether it moved."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._counts: dict[Path, int] = {}

    def temperature_c(self, thermal: Thermal) -> float | None:
        """Of the first zone named that is there, else of the hottest zone."""
        found = dict(self._zones())
        named = [found[zone] for zone in thermal.zones if zone in found]
        return named[0] if named else max(found.values(), default=None)

    def throttled(self, thermal: Thermal, temperature_c: float | None) -> bool | None:
        """Whether any sign says so; None where there is no sign to read."""
        signs = [sign for each in thermal.sensors for sign in self._signs(each)]
        if thermal.throttles_c is not None and temperature_c is not None:
            signs.append(temperature_c >= thermal.throttles_c)
        return any(signs) if signs else None

    def _zones(self) -> Iterator[tuple[str, float]]:
        for zone in sorted((self._root / "sys/class/thermal").glob("thermal_zone*")):
            millidegrees = read_integer(zone / "temp")
            if millidegrees is not None and _COLDEST_C < millidegrees / 1000 < _HOTTEST_C:
                yield read_text(zone / "type") or zone.name, millidegrees / 1000

    def _signs(self, sensor: ThrottleSensor) -> Iterator[bool]:
        for device in sorted((self._root / "sys/class/hwmon").glob("hwmon*")):
            if read_text(device / "name") != sensor.hwmon:
                continue
            for file in sorted(device.glob(sensor.file)):
                value = read_integer(file)
                if value is not None:
                    yield self._is_sign(sensor.kind, file, value)

    def _is_sign(self, kind: ThrottleKind, file: Path, value: int) -> bool:
        if kind is ThrottleKind.FLAG:
            return value != 0
        before = self._counts.get(file, value)
        self._counts[file] = value
        return value > before
