from pathlib import Path
from typing import Any

import pytest

from mesh.device.profile import Power, PowerMode, Thermal, ThrottleKind, ThrottleSensor
from mesh.device.survey import PortFound, Survey, Zone, core_name, mode_named, survey

CPU = "sys/devices/system/cpu"
NET = "sys/class/net"
PI_5 = {
    "proc/device-tree/cpus/cpu@0/compatible": "arm,cortex-a76\0",
    "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\n",
    f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq": "2400000\n",
    f"{CPU}/cpu3/cpufreq/cpuinfo_max_freq": "2400000\n",
    f"{CPU}/cpu0/cpufreq/scaling_max_freq": "1500000\n",
    f"{CPU}/cpufreq/policy0": "",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "61250\n",
    "sys/class/hwmon/hwmon2/name": "rpi_volt\n",
    "sys/class/hwmon/hwmon2/in0_lcrit_alarm": "1\n",
    f"{NET}/eth0/device/vendor": "",
    f"{NET}/eth0/speed": "1000\n",
    f"{NET}/lo/speed": "",
    f"{NET}/wlan0/device/vendor": "",
    f"{NET}/wlan0/phy80211/name": "phy0\n",
    f"{NET}/eth1/device/vendor": "",
    f"{NET}/eth1/speed": "-1\n",
}
VOLTAGE = Thermal(
    sensors=(ThrottleSensor(hwmon="rpi_volt", file="in0_lcrit_alarm", kind=ThrottleKind.FLAG),)
)


def test_what_a_board_has(machine: Any) -> None:
    found = survey(VOLTAGE, machine(PI_5))
    assert (found.core, found.clock_hz) == ("Cortex-A76", 2_400_000_000)
    assert found.allowed_clock_hz == 1_500_000_000
    assert found.zones == (Zone(type="cpu-thermal", temperature_c=61.25),)
    assert [sign.signs for sign in found.signs] == [("in0_lcrit_alarm",)]
    assert found.ports == (
        PortFound(name="eth0", is_wifi=False, label_bits_per_s=1_000_000_000),
        PortFound(name="eth1", is_wifi=False, label_bits_per_s=None),
        PortFound(name="wlan0", is_wifi=True, label_bits_per_s=None),
    )


def test_what_is_missing_is_unknown(tmp_path: Path) -> None:
    assert survey(VOLTAGE, tmp_path) == Survey(
        core=None, clock_hz=None, allowed_clock_hz=None, zones=(), signs=(), ports=()
    )


def test_without_a_device_tree_the_processor_names_itself(machine: Any) -> None:
    cpuinfo = {"proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD\x1b EPYC 7R13\n"}
    assert survey(Thermal(), machine(cpuinfo)).core == "AMD EPYC 7R13"


@pytest.mark.parametrize(
    ("compatible", "name"),
    [
        ("arm,cortex-a76", "Cortex-A76"),
        ("nvidia,tegra194-carmel", "Tegra194-Carmel"),
        ("carmel", "Carmel"),
        ("", ""),
    ],
)
def test_the_name_of_a_core(compatible: str, name: str) -> None:
    assert core_name(compatible) == name


def test_a_mode_is_known_by_its_name() -> None:
    mode = PowerMode(name="15W", id=0, clock_hz=1, cores=1)
    power = Power(modes=(mode,))
    assert mode_named(power, "15W") is mode
    assert mode_named(power, "25W") is None
    assert mode_named(power, "") is None
