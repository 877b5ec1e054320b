"""The reader. What must hold for the files themselves is in `tests/test_device_profiles.py`."""

from pathlib import Path
from typing import Any

import pytest

from mesh.device.profile import Port, ThrottleKind
from mesh.device.profile_files import (
    given_facts,
    lacking_facts,
    load_profiles,
    parse_profile,
    profiles_folder,
    read_profile_text,
)
from mesh.errors import DeviceError

TABLES = ["processor", "memory", "thermal", "power", "network", "typical"]
LEAST: dict[str, Any] = {
    "name": "board",
    "title": "Board",
    "unknown": TABLES,
    "match": {"machines": ["aarch64"]},
    "memory": {"reserved_bytes": 1},
}


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
    unknown = [*without("thermal"), "thermal.zones", "thermal.throttles_c"]
    profile = parse_profile(LEAST | thermal | {"unknown": unknown}, where="board.toml")
    assert profile.thermal.hot_c == 70.0
    assert profile.thermal.sensors[0].kind is ThrottleKind.FLAG


def test_files_that_are_no_toml(tmp_path: Path) -> None:
    for content in (b"= nothing", b"\xff\xfe"):
        (tmp_path / "board.toml").write_bytes(content)
        with pytest.raises(DeviceError, match=r"board\.toml cannot be read"):
            load_profiles(tmp_path)


def test_two_profiles_of_one_name_or_alias(tmp_path: Path) -> None:
    text = (profiles_folder() / "generic-arm64.toml").read_text(encoding="utf-8")
    (tmp_path / "one.toml").write_text(text, encoding="utf-8")
    other = text.replace('name = "generic-arm64"', 'name = "arm64"').replace('"arm64", ', "")
    for content, shared in ((text, "aarch64"), (other, "aarch64")):
        (tmp_path / "two.toml").write_text(content, encoding="utf-8")
        with pytest.raises(DeviceError, match=f"two device profiles are named '{shared}'"):
            load_profiles(tmp_path)


def without(*tables: str) -> list[str]:
    return [table for table in TABLES if table not in tables]


CORES = {"processor": {"cores": 4}}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"unknown": without("power")}, r"power\.query is missing: give it, or name it in unknown"),
        (CORES, r"processor\.cores is given, and yet 'processor' is in unknown"),
        ({"unknown": [*TABLES, "typical.resnet_51_s"]}, "'typical.resnet_51_s' in unknown is no"),
        ({"unknown": [*TABLES, "name"]}, "'name' in unknown is no key that may be unknown"),
        ({"unknown": [*TABLES, ""]}, "'' in unknown is no key that may be unknown"),
        (
            {"network": {"wifi": {}}, "unknown": [*without("network"), "network.message_cpu_s"]},
            r"network\.wifi\.bytes_per_s is missing",
        ),
    ],
)
def test_a_fact_is_given_or_said_to_be_unknown(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(DeviceError, match=complaint):
        parse_profile(LEAST | change, where="board.toml")


def test_single_facts_of_a_table_may_be_unknown() -> None:
    unknown = [*without("processor"), "processor.core", "processor.clock_hz"]
    profile = parse_profile(LEAST | CORES | {"unknown": unknown}, where="board.toml")
    assert (profile.processor.cores, profile.processor.core) == (4, None)


def test_a_port_that_is_left_out_is_none_and_needs_no_word() -> None:
    unknown = [*without("network"), "network.message_cpu_s", "network.byte_cpu_s"]
    network = {"network": {"ethernet": {"bytes_per_s": 5}}, "unknown": unknown}
    profile = parse_profile(LEAST | network, where="board.toml")
    assert profile.network.ethernet == Port(bytes_per_s=5)
    assert profile.network.wifi is None


def test_an_empty_list_is_given() -> None:
    power = {"power": {"query": [], "modes": []}, "unknown": without("power")}
    assert parse_profile(LEAST | power, where="board.toml").power.modes == ()


def test_facts_given_and_lacking_are_all_facts() -> None:
    document = LEAST | {"network": {"ethernet": {}, "wifi": {}}} | CORES
    given = given_facts(document)
    lacking = lacking_facts(document)
    assert given == ("processor.cores",)
    assert {"network.wifi.bytes_per_s", "typical.source", "thermal.sensors"} < set(lacking)
    assert not set(given) & set(lacking)


def test_the_text_of_a_file_is_read_as_the_file() -> None:
    text = (profiles_folder() / "raspberry-pi-5.toml").read_text(encoding="utf-8")
    assert read_profile_text(text, where="here") in load_profiles()


def test_a_mode_may_have_the_number_0() -> None:
    mode = {"name": "MAXN", "id": 0, "clock_hz": 1, "cores": 1}
    power = {"power": {"query": [], "modes": [mode]}, "unknown": without("power")}
    assert parse_profile(LEAST | power, where="board.toml").power.modes[0].id == 0
