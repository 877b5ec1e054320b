"""Holds every device profile to its schema, to README.md beside it, and to its firmware note."""

import re
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from mesh.device.profile import (
    BoardFacts,
    DeviceProfile,
    QuirkTopic,
    ThrottleKind,
    find_profile,
    recognise,
)
from mesh.device.profile_files import load_profiles, profiles_folder, read_profile

NOTES = Path(__file__).parents[1] / "firmware_notes"
FILES = sorted(profiles_folder().glob("*.toml"))
PROFILES = load_profiles()
BOARDS = tuple(profile for profile in PROFILES if profile.match.model_prefixes)
README = (profiles_folder() / "README.md").read_text(encoding="utf-8")

MODELS = {
    "Raspberry Pi 5 Model B Rev 1.0": "raspberry-pi-5",
    "Raspberry Pi 5 Model B Rev 1.1": "raspberry-pi-5",
    "Raspberry Pi 4 Model B Rev 1.5": "raspberry-pi-4b",
    "Raspberry Pi 3 Model B Plus Rev 1.3": "raspberry-pi-3b-plus",
    "Raspberry Pi Zero 2 W Rev 1.0": "raspberry-pi-zero-2-w",
    "NVIDIA Jetson Nano Developer Kit": "jetson-nano",
    "NVIDIA Jetson Xavier NX Developer Kit": "jetson-xavier-nx",
    "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit": "jetson-orin-nano",
    "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super": "jetson-orin-nano",
    "NVIDIA Jetson Orin NX Engineering Reference Developer Kit": "jetson-orin-nx",
    "NVIDIA Jetson Orin NX Engineering Reference Developer Kit Super": "jetson-orin-nx",
    "NVIDIA Jetson AGX Orin Developer Kit": "jetson-agx-orin",
    "NVIDIA Jetson AGX Xavier Developer Kit": "jetson-agx-xavier",
    "NVIDIA Jetson TX2 Developer Kit": "generic-arm64",
    "Raspberry Pi 3 Model B Rev 1.2": "generic-arm64",
}
"""What boards say in /proc/device-tree/model."""

ALIASES = {
    "zero2w": "raspberry-pi-zero-2-w",
    "pi3b+": "raspberry-pi-3b-plus",
    "pi4": "raspberry-pi-4b",
    "pi5": "raspberry-pi-5",
    "nano": "jetson-nano",
    "xavier-nx": "jetson-xavier-nx",
    "orin-nano": "jetson-orin-nano",
    "orin-nx": "jetson-orin-nx",
    "agx-orin": "jetson-agx-orin",
    "agx-xavier": "jetson-agx-xavier",
    "x86": "generic-x86-64",
    "arm64": "generic-arm64",
    "arm32": "generic-arm32",
}

RANGES: dict[str, tuple[float, float]] = {
    "processor.cores": (1, 256),
    "processor.clock_hz": (100e6, 8e9),
    "memory.reserved_bytes": (64 << 20, 4 << 30),
    "memory.sizes_bytes": (256 << 20, 1 << 40),
    "memory.page_bytes": (4096, 65536),
    "thermal.hot_c": (40, 100),
    "thermal.throttles_c": (45, 110),
    "power.modes.id": (0, 63),
    "power.modes.clock_hz": (100e6, 8e9),
    "power.modes.cores": (1, 256),
    "network.ethernet.bytes_per_s": (1e6, 2e9),
    "network.wifi.bytes_per_s": (1e5, 2e9),
    "network.message_cpu_s": (1e-7, 0.1),
    "network.byte_cpu_s": (1e-12, 1e-5),
    "typical.mobilenet_v2_s": (0.001, 1),
    "typical.resnet_50_s": (0.005, 10),
    "typical.one_thread_mobilenet_v2_s": (0.001, 1),
    "typical.one_thread_resnet_50_s": (0.005, 10),
    "typical.least_factor": (0.1, 1),
    "typical.most_factor": (1, 10),
    "reference.seconds_per_unit": (1e-13, 1e-5),
    "reference.factor": (1, 10),
    "anchor.one_thread_mobilenet_v2_s": (0.001, 1),
    "anchor.one_thread_resnet_50_s": (0.005, 10),
}
"""Beyond these a number is a slip, such as milliseconds for seconds."""

UNITS = {
    "_cpu_s": "core-seconds",
    "bytes_per_s": "bytes/s",
    "_bytes": "bytes",
    "_hz": "Hz",
    "_c": "°C",
    "_s": "s",
    "seconds_per_unit": "s",
    "factor": "factor",
    "cores": "number",
    "id": "number",
}
"""Of a key that ends so; the first that fits."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A dotted key with what the dataclass says of it."""

    name: str
    given: str
    type: Any


def keys(kind: type = DeviceProfile, prefix: str = "") -> Iterator[Key]:
    hints = get_type_hints(kind)
    for each in fields(kind):
        hint, name = hints[each.name], prefix + each.name
        inner = next((one for one in (hint, *get_args(hint)) if is_dataclass(one)), None)
        if inner is not hint:  # a plain table is there for its keys
            must = "must" if each.default is MISSING else "may"
            yield Key(name=name, given="fact" if each.metadata.get("is_fact") else must, type=hint)
        if isinstance(inner, type):
            yield from keys(inner, f"{name}.")


KEYS = tuple(keys())
NUMBERS = tuple(key for key in KEYS if {int, float} & {key.type, *get_args(key.type)})


def rows() -> dict[str, list[str]]:
    """README's table of keys: the other cells of each row by its key."""
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in README.splitlines()
        if line.startswith("| `")
    ]
    assert len({row[0] for row in cells}) == len(cells)
    return {row[0].strip("`"): row[1:] for row in cells}


def values(profile: Any, key: str) -> list[Any]:
    """Everything that the profile has there: nothing, one value, or those of several tables."""
    found = [profile]
    for name in key.split("."):
        found = [getattr(each, name) for each in found]
        flat = [each if isinstance(each, tuple) else (each,) for each in found]
        found = [value for some in flat for value in some if value is not None]
    return found


# README.md and the schema


def test_the_readme_explains_every_key_and_no_other() -> None:
    assert sorted(rows()) == sorted(key.name for key in KEYS)


def test_the_readme_says_which_keys_must_be_given() -> None:
    said = {key: row[0] for key, row in rows().items()}
    assert said == {key.name: key.given for key in KEYS}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_the_readme_gives_every_key_its_type_or_unit(key: Key) -> None:
    said, meaning = rows()[key.name][1:]
    assert meaning
    is_list = get_origin(key.type) is tuple
    if key in NUMBERS:
        unit = next(unit for end, unit in UNITS.items() if key.name.endswith(end))
        assert said == (f"{unit}, list" if is_list else unit)
    else:
        inner = get_args(key.type)[0] if get_args(key.type) else key.type
        assert said == ("table" if is_dataclass(inner) else "text") + ("s" if is_list else "")


def test_the_readme_names_every_kind_and_topic() -> None:
    for key, kinds in {"thermal.sensors.kind": ThrottleKind, "quirks.about": QuirkTopic}.items():
        said = "".join(rows()[key][2:] + rows()[key][1:2])
        assert sorted(re.findall(r'"(\w+)"', said)) == sorted({each.value for each in kinds})


# Every file


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
    assert sorted(RANGES) == sorted(key.name for key in NUMBERS)
    for key, (least, most) in RANGES.items():
        for value in values(profile, key):
            assert least <= value <= most, f"{key} = {value}"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_the_numbers_fit_each_other(profile: DeviceProfile) -> None:
    memory, thermal, typical = profile.memory, profile.thermal, profile.typical
    assert all(size > memory.reserved_bytes for size in memory.sizes_bytes)
    assert all(small < large for small, large in pairwise(memory.sizes_bytes))
    assert (thermal.hot_c is None) == (thermal.throttles_c is None)
    assert thermal.hot_c is None or thermal.hot_c < (thermal.throttles_c or 0)
    pairs = (
        (typical.mobilenet_v2_s, typical.one_thread_mobilenet_v2_s),
        (typical.resnet_50_s, typical.one_thread_resnet_50_s),
    )
    for all_cores_s, one_thread_s in pairs:
        assert (all_cores_s is None) == (one_thread_s is None) == (typical.source is None)
        assert all_cores_s is None or all_cores_s < (one_thread_s or 0)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_the_power_modes_fit_the_processor(profile: DeviceProfile) -> None:
    power, processor = profile.power, profile.processor
    names = [mode.name for mode in power.modes]
    assert len(set(names)) == len(names)
    assert power.default_mode in (names or [""])
    assert bool(power.query) == bool(names) == bool(power.answer_prefix)
    if names:
        assert max(mode.clock_hz for mode in power.modes) == processor.clock_hz
        assert max(mode.cores for mode in power.modes) == processor.cores


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_sensors_are_read_below_their_folder_only(profile: DeviceProfile) -> None:
    for sensor in profile.thermal.sensors:
        assert not sensor.file.startswith("/")
        assert ".." not in sensor.file
        assert bool(sensor.bits) == (sensor.kind is ThrottleKind.BITS)
        assert sensor.hwmon or sensor.file.startswith("devices/")


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_names_can_be_typed_and_sentences_end(profile: DeviceProfile) -> None:
    for name in (profile.name, *profile.aliases):
        assert re.fullmatch(r"[a-z0-9][a-z0-9+-]*", name)
    for quirk in profile.quirks:
        assert quirk.text.endswith(".")


# Which profile is taken


@pytest.mark.parametrize(("model", "name"), MODELS.items())
def test_boards_are_recognised(model: str, name: str) -> None:
    assert recognise(facts(model), PROFILES).name == name


def test_every_board_profile_has_a_board_that_is_recognised() -> None:
    assert {profile.name for profile in BOARDS} == set(MODELS.values()) - {"generic-arm64"}


def test_no_two_profiles_fit_one_board() -> None:
    for one, other in permutations(BOARDS, 2):
        if set(one.match.machines) & set(other.match.machines):
            assert not any(
                prefix.startswith(other.match.model_prefixes) for prefix in one.match.model_prefixes
            ), f"{one.name} and {other.name}"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "armv7l"])
def test_every_architecture_has_one_generic_profile(machine: str) -> None:
    generic = [each for each in PROFILES if each not in BOARDS and machine in each.match.machines]
    assert [recognise(facts(None, machine), PROFILES)] == generic


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases_lead_to_their_profile(alias: str, name: str) -> None:
    assert find_profile(alias, PROFILES).name == name


def test_every_profile_has_an_alias_to_be_listed_by() -> None:
    assert {profile.aliases[0] for profile in PROFILES} == set(ALIASES)


def facts(model: str | None, machine: str = "aarch64") -> BoardFacts:
    return BoardFacts(
        model=model, machine=machine, cores=4, memory_bytes=1, page_bytes=1, host_id=""
    )


# What owners read


@pytest.mark.parametrize("profile", BOARDS, ids=lambda profile: profile.name)
def test_every_board_has_its_firmware_note(profile: DeviceProfile) -> None:
    note = (NOTES / f"{profile.name}.md").read_text(encoding="utf-8")
    assert note.startswith(f"# {profile.title}\n")
    assert "Not verified on hardware by this project." in note
    assert f"`device_profiles/{profile.name}.toml`" in note
    for prefix in profile.match.model_prefixes:
        assert f"`{prefix}`" in note
    for mode in profile.power.modes:
        assert f"`{mode.name}`" in note
    for part in ("**System.**", "**Packages.**", "**Throttling.**", "**Not tried.**"):
        assert part in note
