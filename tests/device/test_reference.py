from dataclasses import replace

import pytest

from mesh.device.load import Load
from mesh.device.profile import (
    Anchor,
    DeviceProfile,
    Match,
    Memory,
    Processor,
    ReferenceRate,
    Typical,
    find_profile,
)
from mesh.device.profile_files import load_profiles
from mesh.device.reference import ALIKE_FACTOR, OTHERS, SCALED_FACTOR, load_s, reference_of
from mesh.errors import DeviceError


def rate(operator: str, data_type: str, seconds: float, factor: float = 1.3) -> ReferenceRate:
    return ReferenceRate(
        operator=operator,
        data_type=data_type,
        seconds_per_unit=seconds,
        factor=factor,
        source="a test",
    )


def board(name: str, prefixes: tuple[str, ...] = ("Board",), **facts: object) -> DeviceProfile:
    plain = DeviceProfile(
        name=name,
        title=name.title(),
        match=Match(machines=("aarch64",), model_prefixes=prefixes),
        memory=Memory(reserved_bytes=1),
    )
    return replace(plain, **facts)  # type: ignore[arg-type]


MEASURED = board(
    "measured",
    reference=(rate("CONV_2D", "float32", 1e-9), rate(OTHERS, "float32", 2e-9, 1.5)),
    anchor=Anchor(one_thread_mobilenet_v2_s=0.01, one_thread_resnet_50_s=0.1, source="a test"),
)
PUBLISHED = board(
    "published",
    processor=Processor(cores=4, core="A1", clock_hz=1_000_000_000),
    typical=Typical(
        mobilenet_v2_s=0.04,
        resnet_50_s=0.2,
        one_thread_mobilenet_v2_s=0.08,
        one_thread_resnet_50_s=0.5,
    ),
)
LOAD: Load = {("CONV_2D", "float32"): 1e6, ("ADD", "float32"): 1e6}


def test_a_measured_board_has_its_own_rates() -> None:
    reference = reference_of(MEASURED, [MEASURED, PUBLISHED])
    assert reference.seconds(LOAD) == pytest.approx(3e-3)
    assert reference.factor(LOAD) == 1.5
    assert reference.threads == 1
    assert reference.overhead == 1
    assert not reference.is_scaled


def test_a_generic_profile_stands_for_many_machines() -> None:
    generic = replace(MEASURED, match=Match(machines=("x86_64",)))
    assert reference_of(generic, [generic]).factor(LOAD) == SCALED_FACTOR


def test_dense_kinds_go_by_resnet_and_others_by_mobilenet() -> None:
    reference = reference_of(PUBLISHED, [PUBLISHED, MEASURED])
    assert reference.threads == 4
    assert reference.rates["CONV_2D", "float32"] == pytest.approx(1e-9 * 0.2 / 0.1)
    assert reference.rates[OTHERS, "float32"] == pytest.approx(2e-9 * 0.04 / 0.01)
    assert reference.overhead == pytest.approx(8)
    assert reference.factor(LOAD) == SCALED_FACTOR
    assert reference.is_scaled


def test_of_many_cores_only_some_help() -> None:
    """Amdahl's law between one thread and all cores."""
    many = replace(PUBLISHED, processor=Processor(cores=12))
    found = reference_of(many, [many, MEASURED]).rates["CONV_2D", "float32"]
    assert 0.2 / 0.1 < found / 1e-9 < 0.5 / 0.1


def test_equal_cores_go_by_their_clock() -> None:
    alike = board("alike", processor=Processor(cores=4, core="A1", clock_hz=2_000_000_000))
    reference = reference_of(alike, [PUBLISHED, MEASURED, alike])
    whole = reference_of(PUBLISHED, [PUBLISHED, MEASURED])
    assert reference.seconds(LOAD) == pytest.approx(whole.seconds(LOAD) / 2)
    assert reference.factor(LOAD) == ALIKE_FACTOR
    assert "Published" in reference.basis


def test_nothing_known_is_said() -> None:
    unknown = board("unknown", processor=Processor(core="B1", clock_hz=1))
    with pytest.raises(DeviceError, match="nothing is known of the speed of Unknown"):
        reference_of(unknown, [PUBLISHED, MEASURED, unknown])
    with pytest.raises(DeviceError, match="no device profile has a reference"):
        reference_of(PUBLISHED, [PUBLISHED])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (("CONV_2D", "float32"), 1.0),
        (("TANH", "float32"), 2.0),
        (("CONV_2D", "int8"), 1.0),  # a format of which nothing is known is taken for float32
        (("TANH", "int8"), 2.0),
        (("ADD", "int16"), 3.0),
    ],
)
def test_the_nearest_rate_is_taken(kind: tuple[str, str], expected: float) -> None:
    rates = {("CONV_2D", "float32"): 1.0, (OTHERS, "float32"): 2.0, (OTHERS, "int16"): 3.0}
    assert load_s(rates, {kind: 1.0}) == expected


def test_an_unmeasured_format_is_less_certain() -> None:
    reference = reference_of(MEASURED, [MEASURED])
    assert reference.factor({("CONV_2D", "int8"): 1.0}) > reference.factor(LOAD)


def test_boards_come_in_the_order_that_people_know() -> None:
    profiles = load_profiles()
    names = ("zero2w", "pi3b+", "pi4", "nano", "pi5", "agx-orin")
    times = [reference_of(find_profile(name, profiles), profiles).seconds(LOAD) for name in names]
    assert times == sorted(times, reverse=True)
