"""A board's files below a temporary root, looked at as `mesh profile` does."""

from dataclasses import replace
from pathlib import Path

import pytest

from mesh.cli.profile_facts import (
    Report,
    differences,
    look,
    members,
    plain_profile,
    rule,
    toml,
)
from mesh.cli.profile_rates import Rates
from mesh.device.board import Board
from mesh.device.profile import Anchor, PowerMode, ReferenceRate, find_profile
from mesh.device.profile_files import load_profiles, profile_text, read_profile_text
from mesh.device.survey import mode_named

DAY = "2026-11-23"
PI_5 = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/meminfo": "MemTotal:        8245248 kB\nMemAvailable:    7000000 kB\n",
    "sys/devices/system/cpu/online": "0-3\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "61250\n",
    "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled": "50005\n",
}
RATES = Rates(
    reference=(
        ReferenceRate(
            operator="ADD", data_type="float32", seconds_per_unit=1e-11, factor=2.0, source="here"
        ),
    ),
    anchor=Anchor(one_thread_mobilenet_v2_s=0.01, one_thread_resnet_50_s=0.09, source="here"),
    passed_over=(),
)


def looked_at(root: Path, files: dict[str, str], machine: str = "aarch64") -> Report:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    pages = 16384 if machine == "aarch64" else 4096
    return look(Board(root, machine=machine, allowed_cores=64, page_bytes=pages), root)


def test_a_board_is_looked_at(tmp_path: Path) -> None:
    report = looked_at(tmp_path, PI_5)
    assert report.profile.name == "raspberry-pi-5"
    assert report.prefix == "Raspberry Pi 5 Model B"
    assert report.status.temperature_c == 61.25
    assert report.status.throttled is True
    assert report.found.signs[0].signs == ("undervoltage", "throttled")
    assert (report.power_mode, report.mode) == ("", None)
    assert differences(report) == ()


def test_the_rule_is_told(tmp_path: Path) -> None:
    report = looked_at(tmp_path, PI_5)
    assert rule(report) == (
        'it calls itself "Raspberry Pi 5 Model B Rev 1.0", '
        'which begins with "Raspberry Pi 5 Model B"'
    )
    other = looked_at(tmp_path, PI_5 | {"proc/device-tree/model": "Radxa ROCK 5B"})
    assert rule(other).startswith('no profile begins "Radxa ROCK 5B"; ')
    nameless = replace(other, facts=replace(other.facts, model=None))
    assert rule(nameless).endswith("the profile is the generic one of aarch64")


def with_mode(report: Report, name: str) -> Report:
    profile = find_profile("orin-nano", load_profiles())
    return replace(
        report,
        profile=profile,
        power_mode=name,
        mode=mode_named(profile.power, name),
        found=replace(report.found, allowed_clock_hz=1_344_000_000),
        facts=replace(report.facts, cores=6, page_bytes=4096),
    )


def test_a_machine_that_is_as_its_profile_says_differs_in_nothing(tmp_path: Path) -> None:
    assert differences(with_mode(looked_at(tmp_path, PI_5), "25W")) == ()


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("15W", ["the clock may go to 1.34 GHz, the profile says 1.50 GHz for this mode"]),
        (
            "7W",
            [
                "6 cores are there for this process, the profile says 4",
                "the clock may go to 1.34 GHz, the profile says 0.96 GHz for this mode",
            ],
        ),
        ("MODE_OF_MY_OWN", ["power mode MODE_OF_MY_OWN is not in the profile"]),
    ],
)
def test_where_the_mode_says_otherwise_it_is_told(
    tmp_path: Path, mode: str, said: list[str]
) -> None:
    assert list(differences(with_mode(looked_at(tmp_path, PI_5), mode))) == said


def test_other_pages_and_more_memory_are_told(tmp_path: Path) -> None:
    report = looked_at(tmp_path, PI_5)
    facts = replace(report.facts, page_bytes=4096, memory_bytes=64 << 30)
    assert differences(replace(report, facts=facts)) == (
        "pages have 4096 bytes, the profile says 16384",
        "it has more memory than the profile knows of",
    )


def test_a_known_board_gets_its_own_file_with_what_was_measured(tmp_path: Path) -> None:
    report = looked_at(tmp_path, PI_5)
    assert toml(report, None, day=DAY) == profile_text("raspberry-pi-5")
    text = toml(report, RATES, day=DAY)
    assert read_profile_text(text, where="x") == replace(
        report.profile, reference=RATES.reference, anchor=RATES.anchor
    )
    assert f"# Measured on this board by `mesh profile --toml` on {DAY}, one thread." in text


def test_a_board_that_nobody_knows_gets_a_draft(tmp_path: Path) -> None:
    files = PI_5 | {"proc/device-tree/model": "Radxa ROCK 5B"}
    profile = read_profile_text(toml(looked_at(tmp_path, files), RATES, day=DAY), where="x")
    assert profile.name == "radxa-rock-5b"
    assert profile.reference == RATES.reference


def test_a_machine_without_a_name_gets_the_generic_file(tmp_path: Path) -> None:
    files = {name: text for name, text in PI_5.items() if "model" not in name}
    report = looked_at(tmp_path, files, machine="x86_64")
    assert toml(report, None, day=DAY) == profile_text("generic-x86-64")


def test_what_is_unknown_is_null_for_programs(tmp_path: Path) -> None:
    report = looked_at(tmp_path, PI_5)
    told = members(report, (), None)
    assert told["profile"]["network"]["message_cpu_s"] is None
    assert told["profile"]["network"]["wifi"] == {"bytes_per_s": 37_500_000}
    assert (told["power_mode"], told["clock_hz"], told["rates"]) == (None, None, None)
    assert told["signs"][0]["signs"] == ["undervoltage", "throttled"]
    assert "host_id" not in told


def test_unknown_lists_are_null_and_empty_ones_are_lists() -> None:
    profiles = {each.name: plain_profile(each) for each in load_profiles()}
    assert profiles["generic-arm64"]["power"]["modes"] is None
    assert profiles["generic-arm64"]["memory"]["sizes_bytes"] is None
    assert profiles["generic-arm64"]["thermal"]["zones"] == ["cpu-thermal", "soc-thermal"]
    assert profiles["raspberry-pi-5"]["power"]["modes"] == []
    assert profiles["jetson-nano"]["thermal"]["sensors"] is None


def test_a_mode_of_the_board_is_a_value(tmp_path: Path) -> None:
    report = with_mode(looked_at(tmp_path, PI_5), "25W")
    assert report.mode == PowerMode(name="25W", id=1, clock_hz=1_344_000_000, cores=6)
