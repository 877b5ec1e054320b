"""The reader, and what must hold for every profile that comes with the project."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from mesh.device.profile import BoardFacts, DeviceProfile, ThrottleKind, recognise
from mesh.device.profile_files import (
    load_profiles,
    parse_profile,
    profiles_folder,
    read_profile,
)
from mesh.errors import DeviceError

FILES = sorted(profiles_folder().glob("*.toml"))
PROFILES = load_profiles()
LEAST: dict[str, Any] = {
    "name": "board",
    "title": "Board",
    "match": {"machines": ["aarch64"]},
    "memory": {"reserved_bytes": 1},
}

MODELS = {
    "Raspberry Pi 5 Model B Rev 1.0": "raspberry-pi-5",
    "Raspberry Pi 4 Model B Rev 1.5": "raspberry-pi-4b",
    "Raspberry Pi 3 Model B Plus Rev 1.3": "raspberry-pi-3b-plus",
    "Raspberry Pi Zero 2 W Rev 1.0": "raspberry-pi-zero-2-w",
    "NVIDIA Jetson Nano Developer Kit": "jetson-nano",
    "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit": "jetson-orin-nano",
    "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super": "jetson-orin-nano",
    "NVIDIA Jetson AGX Orin Developer Kit": "jetson-agx-orin",
    "NVIDIA Jetson Xavier NX Developer Kit": "generic-arm64",
    "Raspberry Pi 3 Model B Rev 1.2": "generic-arm64",
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_file_is_named_as_the_profile(file: Path) -> None:
    assert read_profile(file).name == file.stem


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_number_has_its_source(file: Path) -> None:
    """A comment on the line, or above the run of lines that it stands in."""
    is_sourced = False
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            is_sourced = False
        is_sourced = is_sourced or "#" in line
        if re.match(r"\w+ = \[?\d", line):
            assert is_sourced, f"{file.name}: {line}"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_the_numbers_are_possible(profile: DeviceProfile) -> None:
    thermal, typical, power = profile.thermal, profile.typical, profile.power
    assert all(size > profile.memory.reserved_bytes for size in profile.memory.sizes_bytes)
    if thermal.throttles_c is not None:
        assert 40 < (thermal.hot_c or 0) < thermal.throttles_c < 110
    pairs = (
        (typical.mobilenet_v2_s, typical.one_thread_mobilenet_v2_s),
        (typical.resnet_50_s, typical.one_thread_resnet_50_s),
    )
    for all_cores_s, one_thread_s in pairs:
        assert (all_cores_s is None) == (one_thread_s is None)
        assert all_cores_s is None or 0.001 < all_cores_s < (one_thread_s or 0) < 10
    assert all((mode.clock_hz or 0) <= (profile.processor.clock_hz or 0) for mode in power.modes)


@pytest.mark.parametrize(("model", "name"), MODELS.items())
def test_boards_are_recognised(model: str, name: str) -> None:
    facts = BoardFacts(
        model=model, machine="aarch64", cores=4, memory_bytes=1, page_bytes=1, host_id=""
    )
    assert recognise(facts, PROFILES).name == name


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "armv7l"])
def test_every_architecture_has_a_generic_profile(machine: str) -> None:
    facts = BoardFacts(
        model=None, machine=machine, cores=1, memory_bytes=1, page_bytes=1, host_id=""
    )
    assert recognise(facts, PROFILES).name.startswith("generic-")


def keys(kind: Any, prefix: str = "") -> Iterator[str]:
    hints = get_type_hints(kind)
    for each in fields(kind):
        hint = hints[each.name]
        inner = hint if is_dataclass(hint) else None
        yield from keys(inner, f"{prefix}{each.name}.") if inner else iter([prefix + each.name])


def test_the_readme_explains_every_key() -> None:
    text = (profiles_folder() / "README.md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("| `")]
    assert [
        key for key in keys(DeviceProfile) if not any(f"`{key}`" in line for line in table)
    ] == []


def test_the_least_profile() -> None:
    profile = parse_profile(LEAST, where="board.toml")
    assert profile.processor.cores is None
    assert profile.thermal.zones == ()
    assert profile.power.modes == ()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"colour": "red"}, "board.toml: unknown key 'colour'"),
        ({"memory": {"reserved_bytes": 1, "size": 2}}, "unknown key 'memory.size'"),
        ({"memory": {}}, "key 'memory.reserved_bytes' is missing"),
        ({"memory": 3}, "memory must be a table"),
        ({"title": 3}, "title must be a string"),
        ({"memory": {"reserved_bytes": 0}}, "memory.reserved_bytes must be greater than 0"),
        ({"memory": {"reserved_bytes": 1.5}}, "memory.reserved_bytes must be an integer"),
        ({"memory": {"reserved_bytes": True}}, "memory.reserved_bytes must be an integer"),
        ({"typical": {"resnet_50_s": float("nan")}}, "typical.resnet_50_s must be greater than 0"),
        ({"typical": {"resnet_50_s": "1"}}, "typical.resnet_50_s must be a number"),
        ({"match": {"machines": "aarch64"}}, "match.machines must be an array"),
        ({"match": {"machines": ["a", 1]}}, r"match.machines\[1\] must be a string"),
        (
            {"thermal": {"sensors": [{"hwmon": "a", "file": "b", "kind": "c"}]}},
            r"thermal.sensors\[0\].kind must be 'flag' or 'counter'",
        ),
        ({"power": {"modes": [{}]}}, r"key 'power.modes\[0\].name' is missing"),
    ],
)
def test_mistakes_are_named_with_their_key(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DeviceError, match=complaint):
        parse_profile(LEAST | change, where="board.toml")


def test_whole_numbers_may_stand_for_fractions() -> None:
    sensor = {"hwmon": "a", "file": "b", "kind": "flag"}
    thermal = {"thermal": {"hot_c": 70, "sensors": [sensor]}}
    profile = parse_profile(LEAST | thermal, where="board.toml")
    assert profile.thermal.hot_c == 70.0
    assert profile.thermal.sensors[0].kind is ThrottleKind.FLAG


def test_files_that_are_no_toml(tmp_path: Path) -> None:
    for content in (b"= nothing", b"\xff\xfe"):
        (tmp_path / "board.toml").write_bytes(content)
        with pytest.raises(DeviceError, match=r"board\.toml cannot be read"):
            load_profiles(tmp_path)


def test_two_profiles_of_one_name(tmp_path: Path) -> None:
    text = (profiles_folder() / "generic-arm64.toml").read_text(encoding="utf-8")
    for name in ("one.toml", "two.toml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DeviceError, match="two device profiles are named 'generic-arm64'"):
        load_profiles(tmp_path)


def test_tuples_are_the_only_generic_kinds() -> None:
    """The reader knows scalars, optional scalars, tables and tuples of these."""
    for each in fields(DeviceProfile):
        hint = get_type_hints(DeviceProfile)[each.name]
        assert is_dataclass(hint) or hint is str or get_args(hint) == (str, ...)
