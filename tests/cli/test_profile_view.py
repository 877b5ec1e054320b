from dataclasses import replace
from typing import Any

import pytest

from mesh.cli.canvas import Canvas
from mesh.cli.profile_facts import Report
from mesh.cli.profile_networks import Timed
from mesh.cli.profile_rates import Rates
from mesh.cli.profile_view import render, render_profiles
from mesh.device.board import DeviceStatus
from mesh.device.profile import BoardFacts, ReferenceRate, find_profile
from mesh.device.profile_files import load_profiles
from mesh.device.sensors import Sign
from mesh.device.survey import PortFound, Survey, Zone, mode_named

PROFILES = load_profiles()
WORD = "devices/platform/soc/soc:firmware/get_throttled"


def report(alias: str = "pi5", mode: str = "", **changes: Any) -> Report:
    profile = find_profile(alias, PROFILES)
    whole = Report(
        facts=BoardFacts(
            model="Raspberry Pi 5 Model B Rev 1.0",
            machine="aarch64",
            cores=profile.processor.cores or 4,
            memory_bytes=8_245_248 * 1024,
            page_bytes=profile.memory.page_bytes or 4096,
            host_id="",
        ),
        profile=profile,
        prefix="Raspberry Pi 5 Model B",
        status=DeviceStatus(
            load_1min=0.5, temperature_c=61.2, memory_available_bytes=1 << 30, throttled=False
        ),
        power_mode=mode,
        mode=mode_named(profile.power, mode),
        found=Survey(
            core="Cortex-A76",
            clock_hz=2_400_000_000,
            allowed_clock_hz=None,
            zones=(Zone(type="cpu-thermal", temperature_c=61.2),),
            signs=(Sign(file=WORD, value=0, signs=()),),
            ports=(
                PortFound(name="eth0", is_wifi=False, label_bits_per_s=1_000_000_000),
                PortFound(name="wlan0", is_wifi=True, label_bits_per_s=None),
            ),
        ),
    )
    return replace(whole, **changes)


def shown(of: Report, *timed: Timed, rates: Rates | None = None, width: int = 110) -> str:
    return render(of, "litert 2.3.0", timed, rates, Canvas(width=width))


def test_a_board_in_full() -> None:
    lines = shown(report()).splitlines()
    assert lines[0] == "Raspberry Pi 5  raspberry-pi-5"
    assert "  processor    4 cores, Cortex-A76, up to 2.40 GHz, aarch64" in lines
    assert (
        "  memory       7.9 GiB, of which 256 MiB are left to the system; pages of 16 KiB" in lines
    )
    assert "  power mode   none to choose" in lines
    assert (
        "  temperature  61 °C in cpu-thermal; hot from 75 °C, lowers its clock from 80 °C" in lines
    )
    assert "  throttled    no (get_throttled)" in lines
    assert "  ports        eth0 1,000 Mbit/s, wlan0 Wi-Fi" in lines
    assert any(line.startswith(("  heat", "  system")) for line in lines)


def test_throttling_says_which_flags_are_set() -> None:
    of = report()
    signs = (Sign(file=WORD, value=5, signs=("undervoltage", "throttled")),)
    throttled = replace(
        of, status=replace(of.status, throttled=True), found=replace(of.found, signs=signs)
    )
    assert "throttled    yes: undervoltage, throttled" in shown(throttled)
    by_heat = replace(of, status=replace(of.status, throttled=True))
    assert "throttled    yes: by its temperature" in shown(by_heat)
    unknown = replace(of, status=replace(of.status, throttled=None))
    assert "throttled    not known: " in shown(unknown)


def test_a_power_mode_stands_among_the_others() -> None:
    text = shown(report("orin-nano", "25W"))
    assert "power mode   25W: 6 cores up to 1.34 GHz (others: 15W, MAXN_SUPER, 7W)" in text
    assert "power mode   MY_OWN" in shown(report("orin-nano", "MY_OWN"))
    assert "power mode   not told: `nvpmodel -q` gave none" in shown(report("orin-nano"))
    assert "power mode   none known" in shown(report("arm64"))


def test_differences_are_told() -> None:
    of = report()
    text = shown(replace(of, facts=replace(of.facts, cores=2)))
    assert "differs  2 cores are there for this process, the profile says 4" in text
    assert "differs" not in shown(of)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0164, "×1.00, as expected"),
        (0.005, "×0.31, faster than expected"),
        (0.08, "×4.88, slower than expected"),
    ],
)
def test_times_are_held_against_the_published_ones(seconds: float, words: str) -> None:
    timed = Timed(name="MobileNetV2 float32", threads=1, seconds=seconds, published_s=0.01638)
    assert words in shown(report(), timed)


def test_times_without_a_published_one_stand_alone() -> None:
    text = shown(
        report(),
        Timed(name="ResNet-50 float32", threads=4, seconds=0.0462),
        Timed(name="MobileNetV2 int8", threads=1, seconds=None, reason="too large"),
    )
    lines = [line.split() for line in text.splitlines()]
    assert ["ResNet-50", "float32", "4", "46.2", "ms", "–"] in lines
    assert ["MobileNetV2", "int8", "1", "–", "–", "too", "large"] in lines
    assert "with litert 2.3.0" in text


def test_rates_are_shown_as_speeds() -> None:
    def rate(operator: str, seconds_per_unit: float) -> ReferenceRate:
        return ReferenceRate(
            operator=operator,
            data_type="int8",
            seconds_per_unit=seconds_per_unit,
            factor=1.3,
            source="here",
        )

    rates = Rates(
        reference=(rate("*", 1e-10), rate("CONV_2D", 2e-12)),
        anchor=None,
        passed_over=("ResNet-50 float32: too large",),
    )
    text = shown(report(), rates=rates)
    lines = [line.split() for line in text.splitlines()]
    assert ["all", "others", "int8", "10.0", "G/s", "×1.3"] in lines
    assert ["CONV_2D", "int8", "500.0", "G/s", "×1.3"] in lines
    assert "ResNet-50 float32: too large" in text


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@pytest.mark.parametrize("width", [60, 80])
def test_every_profile_fits_the_width(profile: Any, width: int) -> None:
    text = shown(report(profile.aliases[0]), width=width)
    assert max(map(len, text.splitlines())) <= width


def test_all_profiles_are_listed_by_the_name_to_ask_for() -> None:
    text = render_profiles(PROFILES, Canvas(width=80))
    lines = [line.split() for line in text.splitlines()]
    pi = ["pi5", "Raspberry", "Pi", "5", "4", "×", "2.40", "2–16", "10.5", "ms", "46.2", "ms"]
    assert pi in lines
    assert ["x86", "x86-64", "computer", "–", "–", "–", "–"] in lines
    assert len(lines) == len(PROFILES) + 3
    assert max(map(len, text.splitlines())) <= 80
