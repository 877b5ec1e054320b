"""`mesh profile` needs this machine, and nothing else."""

import json
from functools import partial
from typing import Any

import pytest

from mesh.cli import profile
from mesh.cli.profile_networks import Network
from mesh.device.profile_files import load_profiles, read_profile_text
from mesh.errors import DeviceError
from mesh.runtime.port import Runtime
from mesh.testing.models import residual_cnn
from mesh.testing.runtime import FakeRuntime


def test_for_people(cli: Any) -> None:
    assert cli.run("profile", "--no-timing") == 0
    assert "\n  recognised " in cli.out
    assert "\n  throttled " in cli.out
    assert "THREADS" not in cli.out


def test_for_programs(cli: Any) -> None:
    assert cli.run("profile", "--no-timing", "--json") == 0
    found = json.loads(cli.out)
    assert found["status"] == "ok"
    assert found["cores"] >= 1
    assert found["profile"]["name"] in {each.name for each in load_profiles()}
    assert (found["timed"], found["rates"], found["runtime"]) == ([], None, None)
    assert found["toml"] is None


def test_a_profile_to_commit(cli: Any) -> None:
    assert cli.run("profile", "--no-timing", "--toml") == 0
    assert read_profile_text(cli.out, where="out").match.machines
    text = cli.out
    assert cli.run("profile", "--no-timing", "--toml", "--json") == 0
    assert json.loads(cli.out)["toml"] == text


def test_the_profiles_that_there_are(cli: Any) -> None:
    assert cli.run("profile", "--list") == 0
    assert ["orin-nano", "NVIDIA", "Jetson"] in [line.split()[:3] for line in cli.out.splitlines()]
    assert cli.run("profile", "--list", "--json") == 0
    names = [each["name"] for each in json.loads(cli.out)["profiles"]]
    assert names == [each.name for each in load_profiles()]


def test_without_a_runtime_the_board_is_told_all_the_same(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> Runtime:
        raise DeviceError("no TFLite interpreter is installed")

    monkeypatch.setattr(profile, "detect_runtime", none)
    assert cli.run("profile") == 0
    assert cli.err == "nothing was timed: no TFLite interpreter is installed\n"
    assert "\n  recognised " in cli.out


def test_rates_go_into_the_profile(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    build = partial(residual_cnn, "float32")
    small = Network(name="small", size_bytes=1000, build=build)
    monkeypatch.setattr(profile, "fitted_networks", lambda: (small,))
    monkeypatch.setattr(profile, "detect_runtime", FakeRuntime)
    assert cli.run("profile", "--toml") == 0
    rates = read_profile_text(cli.out, where="out").reference
    assert all(rate.source.endswith("fake 1, 1 thread") for rate in rates)
    assert rates
    assert "timing small 1/" in cli.err


@pytest.mark.real
def test_networks_are_timed(cli: Any) -> None:
    assert cli.run("profile", "--json") == 0
    found = json.loads(cli.out)
    assert {each["name"] for each in found["timed"]} >= {"MobileNetV2 float32"}
    assert all(each["seconds"] or each["reason"] for each in found["timed"])
    assert found["runtime"]


@pytest.mark.parametrize(
    "words", ["--list --toml", "--list --rates", "--list --no-timing", "--rates --no-timing"]
)
def test_what_means_nothing_together_is_refused(words: str, cli: Any) -> None:
    assert cli.run("profile", *words.split()) == 2
    assert "exclude each other" in cli.err
