from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.device.profile import (
    Anchor,
    DeviceProfile,
    Match,
    Memory,
    Network,
    Port,
    Power,
    PowerMode,
    Processor,
    Quirk,
    QuirkTopic,
    ReferenceRate,
    Thermal,
    ThrottleKind,
    ThrottleSensor,
)
from mesh.device.profile_files import load_profiles, profile_text, read_profile_text
from mesh.device.profile_toml import to_toml, with_reference

PROFILE = DeviceProfile(
    name="board",
    title='A "board" \\ of\nmany parts',
    aliases=("b", "bo"),
    unknown=("typical", "network", "thermal.hot_c", "thermal.throttles_c"),
    match=Match(machines=("aarch64",), model_prefixes=("Board",)),
    memory=Memory(reserved_bytes=1 << 28, sizes_bytes=(1 << 30, 1 << 32), page_bytes=4096),
    processor=Processor(cores=4, core="Cortex-A76", clock_hz=2_400_000_000),
    thermal=Thermal(
        zones=("cpu-thermal",),
        sensors=(
            ThrottleSensor(file="devices/x*/y", kind=ThrottleKind.BITS, bits=("low", "", "hot")),
        ),
    ),
    power=Power(
        query=("tool", "-q"),
        answer_prefix="Mode: ",
        default_mode="15W",
        modes=(PowerMode(name="15W", id=0, clock_hz=1_500_000_000, cores=4),),
    ),
    quirks=(Quirk(about=QuirkTopic.HEAT, text="It is hot."),),
)
RATES = (
    ReferenceRate(
        operator="*", data_type="float32", seconds_per_unit=1e-12, factor=2.0, source="here"
    ),
    ReferenceRate(
        operator="ADD", data_type="int8", seconds_per_unit=2.5e-11, factor=1.5, source="here"
    ),
)
ANCHOR = Anchor(one_thread_mobilenet_v2_s=0.007, one_thread_resnet_50_s=0.08, source="here")


def written(profile: DeviceProfile, sources: dict[str, str] | None = None) -> str:
    return to_toml(profile, sources or {}, heading="A board", otherwise="Measured")


def test_what_is_written_reads_as_it_was() -> None:
    assert read_profile_text(written(PROFILE), where="board.toml") == PROFILE


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_any_text_survives(text: str) -> None:
    profile = replace(PROFILE, title=text, quirks=(Quirk(about=QuirkTopic.HEAT, text=text),))
    sources = {"memory.reserved_bytes": text, "quirks": text}
    toml = to_toml(profile, sources, heading=text, otherwise=text)
    assert read_profile_text(toml, where="board.toml") == profile


@given(st.floats(min_value=1e-300, max_value=1e14), st.integers(1, 10**14))
def test_any_number_survives(fraction: float, whole: int) -> None:
    unknown = tuple(each for each in PROFILE.unknown if not each.startswith("thermal"))
    profile = replace(
        PROFILE,
        unknown=unknown,
        thermal=replace(PROFILE.thermal, hot_c=fraction, throttles_c=fraction),
        memory=replace(PROFILE.memory, sizes_bytes=(whole,)),
    )
    assert read_profile_text(written(profile), where="board.toml") == profile


def test_every_number_has_its_source_and_texts_need_none() -> None:
    lines = written(PROFILE, {"processor.clock_hz": "The data sheet"}).splitlines()
    assert lines[0] == "# A board"
    assert lines[lines.index("clock_hz = 2_400_000_000") - 1] == "# The data sheet"
    assert lines[lines.index("cores = 4") - 1] == "# Measured"
    assert lines[lines.index("sizes_bytes = [1_073_741_824, 4_294_967_296]") - 1] == "# Measured"
    assert lines[lines.index('core = "Cortex-A76"') - 1] != "# Measured"


def test_long_lists_stand_one_below_the_other() -> None:
    unknown = ('    "typical",', '    "network",')
    text = written(replace(PROFILE, unknown=(*PROFILE.unknown, "x" * 80)))
    assert all(line in text.splitlines() for line in unknown)


def test_a_port_says_by_its_heading_that_it_is_there() -> None:
    unknown = (
        *(each for each in PROFILE.unknown if each != "network"),
        *("network.wifi.bytes_per_s", "network.message_cpu_s", "network.byte_cpu_s"),
    )
    profile = replace(PROFILE, unknown=unknown, network=Network(wifi=Port()))
    text = written(profile, {"network.wifi": "A card"})
    assert "\n# A card\n[network.wifi]\n" in text
    assert "[network.ethernet]" not in text
    assert read_profile_text(text, where="board.toml") == profile


@pytest.mark.parametrize("name", [profile.name for profile in load_profiles()])
def test_rates_take_the_place_of_rates_and_nothing_else(name: str) -> None:
    before = read_profile_text(profile_text(name), where=name)
    text = with_reference(profile_text(name), RATES, ANCHOR, comment="Measured")
    assert read_profile_text(text, where=name) == replace(before, reference=RATES, anchor=ANCHOR)
    kept = [line for line in profile_text(name).splitlines() if line.startswith("# Judgement")]
    assert [line for line in text.splitlines() if line.startswith("# Judgement")] == kept


def test_rates_may_be_put_twice() -> None:
    once = with_reference(written(PROFILE), RATES, ANCHOR, comment="Measured")
    assert with_reference(once, RATES, ANCHOR, comment="Measured") == once
    without = with_reference(once, (), None, comment="Measured")
    assert read_profile_text(without, where="board.toml") == PROFILE
