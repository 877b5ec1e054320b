import pytest

from mesh.device.profile import (
    BoardFacts,
    DeviceProfile,
    Match,
    Memory,
    find_profile,
    matching_prefix,
    recognise,
)
from mesh.errors import DeviceError


def facts(model: str | None, machine: str = "aarch64") -> BoardFacts:
    return BoardFacts(
        model=model, machine=machine, cores=4, memory_bytes=1 << 32, page_bytes=4096, host_id=""
    )


def profile(name: str, machine: str, *prefixes: str) -> DeviceProfile:
    return DeviceProfile(
        name=name,
        title=name,
        match=Match(machines=(machine,), model_prefixes=prefixes),
        memory=Memory(reserved_bytes=1),
        aliases=(f"{name}-for-short", f"{name}-or-else"),
    )


PROFILES = (
    profile("generic-arm", "aarch64"),
    profile("generic-x86", "x86_64"),
    profile("board", "aarch64", "Board"),
    profile("board-plus", "aarch64", "Board Plus", "Card Plus"),
)


@pytest.mark.parametrize(
    ("model", "machine", "name"),
    [
        ("Board Rev 1", "aarch64", "board"),
        ("Board Plus Rev 2", "aarch64", "board-plus"),
        ("Card Plus", "aarch64", "board-plus"),
        ("A Board", "aarch64", "generic-arm"),
        (None, "aarch64", "generic-arm"),
        ("Board Rev 1", "x86_64", "generic-x86"),
    ],
)
def test_the_longest_prefix_wins_then_the_generic_one(
    model: str | None, machine: str, name: str
) -> None:
    for profiles in (PROFILES, PROFILES[::-1]):
        assert recognise(facts(model, machine), profiles).name == name


def test_no_profile_is_an_error_that_says_what_to_add() -> None:
    with pytest.raises(DeviceError, match=r'match\.machines = \["riscv64"\]'):
        recognise(facts(None, "riscv64"), PROFILES)


def test_the_rule_is_the_longest_prefix() -> None:
    plus = profile("p", "aarch64", "Board", "Board Plus", "Card")
    assert matching_prefix(facts("Board Plus Rev 2"), plus) == "Board Plus"
    assert matching_prefix(facts("Board Rev 2"), plus) == "Board"
    assert matching_prefix(facts("A Board"), plus) is None
    assert matching_prefix(facts(None), plus) is None


@pytest.mark.parametrize("name", ["board-plus", "Board-Plus", "board-plus-for-short"])
def test_a_profile_is_found_by_name_and_alias(name: str) -> None:
    assert find_profile(name, PROFILES) is PROFILES[3]


def test_a_wrong_name_is_told_the_right_ones() -> None:
    with pytest.raises(
        DeviceError, match=r"no device profile 'bord'; there are: .*board-for-short"
    ):
        find_profile("bord", PROFILES)
