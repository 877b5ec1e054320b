import pytest

from mesh.device.profile import BoardFacts, DeviceProfile, Match, Memory, recognise
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
