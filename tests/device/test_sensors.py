from pathlib import Path
from typing import Any

import pytest

from mesh.device.profile import Thermal, ThrottleKind, ThrottleSensor
from mesh.device.sensors import Sign, ThermalSensors

VOLTAGE = Thermal(
    sensors=(ThrottleSensor(hwmon="rpi_volt", file="in0_lcrit_alarm", kind=ThrottleKind.FLAG),)
)
CURRENT = Thermal(
    sensors=(ThrottleSensor(hwmon="soctherm_oc", file="oc*_event_cnt", kind=ThrottleKind.COUNTER),)
)


def zones(**temperatures: str) -> dict[str, str]:
    files: dict[str, str] = {}
    for number, (name, text) in enumerate(temperatures.items()):
        folder = f"sys/class/thermal/thermal_zone{number}"
        files |= {f"{folder}/type": f"{name}\n", f"{folder}/temp": f"{text}\n"}
    return files


@pytest.mark.parametrize(
    ("wanted", "temperature_c"),
    [((), 70.0), (("cpu",), 50.0), (("absent", "gpu"), 70.0), (("absent",), 70.0)],
)
def test_the_named_zone_counts_else_the_hottest(
    machine: Any, wanted: tuple[str, ...], temperature_c: float
) -> None:
    sensors = ThermalSensors(machine(zones(cpu="50000", gpu="70000", asleep="-256000", bad="x")))
    assert sensors.temperature_c(Thermal(zones=wanted)) == temperature_c


def test_no_zone_no_temperature(tmp_path: Path) -> None:
    assert ThermalSensors(tmp_path).temperature_c(Thermal()) is None


def test_a_flag_says_it_while_it_lasts(machine: Any) -> None:
    files = {
        "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
        "sys/class/hwmon/hwmon0/in0_lcrit_alarm": "1\n",
        "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
        "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n",
    }
    sensors = ThermalSensors(machine(files))
    assert sensors.throttled(VOLTAGE, None) is False
    machine({"sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n"})
    assert sensors.throttled(VOLTAGE, None) is True


def test_a_counter_says_it_when_it_moved(machine: Any) -> None:
    folder = "sys/class/hwmon/hwmon0"
    files = {f"{folder}/name": "soctherm_oc\n", f"{folder}/oc1_event_cnt": "0\n"}
    sensors = ThermalSensors(machine(files | {f"{folder}/oc3_event_cnt": "7\n"}))
    assert sensors.throttled(CURRENT, None) is False
    machine({f"{folder}/oc3_event_cnt": "9\n"})
    assert sensors.throttled(CURRENT, None) is True
    assert sensors.throttled(CURRENT, None) is False


def test_the_limit_of_the_profile_is_a_sign_too(tmp_path: Path) -> None:
    sensors, thermal = ThermalSensors(tmp_path), Thermal(throttles_c=80.0)
    assert sensors.throttled(thermal, 79.9) is False
    assert sensors.throttled(thermal, 80.0) is True
    assert sensors.throttled(thermal, None) is None
    assert sensors.throttled(Thermal(), 99.0) is None


FLAGS = Thermal(
    sensors=(
        ThrottleSensor(
            file="devices/platform/soc*/*firmware/get_throttled",
            kind=ThrottleKind.BITS,
            bits=("undervoltage", "", "throttled"),
        ),
    )
)


@pytest.mark.parametrize(
    ("word", "signs"),
    [
        ("0", ()),
        ("50000", ()),  # what was, not what is
        ("50005", ("undervoltage", "throttled")),
        ("0x4", ("throttled",)),
        ("2", ()),
        ("what", None),
        ("-1", None),
    ],
)
def test_a_word_of_bits_says_which_are_set(
    machine: Any, word: str, signs: tuple[str, ...] | None
) -> None:
    file = "devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
    sensors = ThermalSensors(machine({f"sys/{file}": f"{word}\n"}))
    assert [each.signs for each in sensors.signs(FLAGS)] == ([] if signs is None else [signs])
    assert sensors.throttled(FLAGS, None) is (None if signs is None else bool(signs))


def test_signs_name_their_file_below_sys(machine: Any) -> None:
    folder = "sys/class/hwmon/hwmon1"
    sensors = ThermalSensors(
        machine({f"{folder}/name": "rpi_volt\n", f"{folder}/in0_lcrit_alarm": "1\n"})
    )
    assert sensors.signs(VOLTAGE) == (
        Sign(file="class/hwmon/hwmon1/in0_lcrit_alarm", value=1, signs=("in0_lcrit_alarm",)),
    )
    assert sensors.signs(FLAGS) == ()
