from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.device.profile import BoardFacts, recognise
from mesh.device.profile_draft import draft, profile_name, size_as_sold
from mesh.device.profile_files import load_profiles, read_profile_text
from mesh.device.survey import PortFound, Survey, Zone

PROFILES = load_profiles()
FACTS = BoardFacts(
    model="Radxa ROCK 5B Rev 1.42",
    machine="aarch64",
    cores=8,
    memory_bytes=8_245_248 * 1024,
    page_bytes=4096,
    host_id="",
)
FOUND = Survey(
    core="Cortex-A76",
    clock_hz=2_400_000_000,
    allowed_clock_hz=None,
    zones=(Zone(type="soc-thermal", temperature_c=50.0), Zone(type="npu", temperature_c=40.0)),
    signs=(),
    ports=(PortFound(name="eth0", is_wifi=False, label_bits_per_s=10**9),),
)
BARE = Survey(core=None, clock_hz=None, allowed_clock_hz=None, zones=(), signs=(), ports=())
GENERIC = recognise(FACTS, PROFILES)


def test_a_board_is_drafted_from_what_it_says() -> None:
    text = draft(FACTS, FOUND, GENERIC, day="2026-11-23")
    profile = read_profile_text(text, where="draft")
    assert (profile.name, profile.title) == ("radxa-rock-5b", "Radxa ROCK 5B")
    assert profile.processor.cores == 8
    assert profile.memory.sizes_bytes == (8 << 30,)
    assert profile.memory.reserved_bytes == GENERIC.memory.reserved_bytes
    assert profile.thermal.zones == ("soc-thermal",)
    assert profile.network.ethernet is not None
    assert profile.network.wifi is None
    assert {"power", "typical", "thermal.sensors", "network.ethernet.bytes_per_s"} < set(
        profile.unknown
    )


def test_the_board_is_then_recognised_as_the_draft_in_any_revision() -> None:
    profile = read_profile_text(draft(FACTS, FOUND, GENERIC, day="2026-11-23"), where="draft")
    for model in (FACTS.model, "Radxa ROCK 5B Rev 2.0", "Radxa ROCK 5B"):
        assert recognise(replace(FACTS, model=model), (*PROFILES, profile)) is profile


def test_nothing_is_guessed_where_the_board_is_silent() -> None:
    profile = read_profile_text(draft(FACTS, BARE, GENERIC, day="2026-11-23"), where="draft")
    assert {"processor.core", "processor.clock_hz", "thermal.zones"} < set(profile.unknown)


def test_every_number_says_where_it_is_from() -> None:
    text = draft(FACTS, FOUND, GENERIC, day="2026-11-23")
    assert "# Judgement: as generic-arm64 has it.\nreserved_bytes = 268_435_456" in text
    assert "on 2026-11-23: 8,443,133,952 bytes, rounded up to what is sold." in text


@given(st.text(min_size=1, max_size=60))
def test_any_model_gives_a_profile_that_can_be_read(model: str) -> None:
    # As `Board` hands it over.
    printable = "".join(c for c in model if c.isprintable()) or "x"
    facts = replace(FACTS, model=printable)
    profile = read_profile_text(draft(facts, FOUND, GENERIC, day="2026-11-23"), where="draft")
    assert profile.name == profile_name(profile.title)


@pytest.mark.parametrize(
    ("memory_gib", "sold_gib"),
    [(0.45, 0.5), (0.9, 1), (1.9, 2), (2.8, 3), (3.7, 4), (5.6, 6), (7.6, 8), (15.3, 16), (16, 16)],
)
def test_memory_is_sold_in_round_sizes(memory_gib: float, sold_gib: float) -> None:
    assert size_as_sold(int(memory_gib * 2**30)) == int(sold_gib * 2**30)


@pytest.mark.parametrize(
    ("model", "name"),
    [("Radxa ROCK 5B", "radxa-rock-5b"), ("  Ünusual (TM) ", "nusual-tm"), ("日本", "board")],
)
def test_the_name_can_be_a_files(model: str, name: str) -> None:
    assert profile_name(model) == name
