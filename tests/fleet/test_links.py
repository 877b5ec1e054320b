import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.fleet.links import (
    LARGE_BYTES,
    SMALL_BYTES,
    Sample,
    Work,
    background_cores,
    estimate,
    message_cost,
    sizes_bytes,
)
from mesh.ids import NodeId

PEER = NodeId("a" * 16)


def samples(small_s: list[float], large_s: list[float]) -> list[Sample]:
    return [
        *(Sample(size_bytes=SMALL_BYTES, round_trip_s=s) for s in small_s),
        *(Sample(size_bytes=LARGE_BYTES, round_trip_s=s) for s in large_s),
    ]


def test_the_bytes_cost_what_the_large_frame_takes_longer() -> None:
    link = estimate(PEER, samples([0.002], [0.002 + LARGE_BYTES / 1e6]))
    assert link.peer == PEER
    assert link.message_s == pytest.approx(0.001)
    assert link.goodput_bytes_per_s == pytest.approx(1e6)


def test_noise_only_adds() -> None:
    quiet = estimate(PEER, samples([0.002], [0.012]))
    assert estimate(PEER, samples([0.9, 0.002, 0.1], [0.5, 0.012])) == quiet


def test_small_frames_that_were_slower_than_large_ones_are_noise() -> None:
    link = estimate(PEER, samples([0.008], [0.004]))
    assert link.goodput_bytes_per_s == pytest.approx(LARGE_BYTES / 0.0005)


def test_samples_of_one_size_are_no_measurement() -> None:
    with pytest.raises(ValueError, match=r"empty|arg"):
        estimate(PEER, samples([0.002], []))


def test_a_measurement_has_both_sizes_more_than_once() -> None:
    assert sizes_bytes().count(SMALL_BYTES) > 1
    assert sizes_bytes().count(LARGE_BYTES) > 1


def test_a_link_that_takes_small_frames_only_is_measured_with_those() -> None:
    large = [Sample(size_bytes=1000, round_trip_s=s) for s in (0.5, 0.003)]
    link = estimate(PEER, [Sample(size_bytes=SMALL_BYTES, round_trip_s=0.002), *large])
    assert link.goodput_bytes_per_s == pytest.approx(1e6)


times_s = st.lists(st.floats(0, 10), min_size=1, max_size=4)


@given(times_s, times_s)
def test_any_round_trips_give_a_link_that_can_be_planned_with(
    small_s: list[float], large_s: list[float]
) -> None:
    link = estimate(PEER, samples(small_s, large_s))
    assert 0 < link.goodput_bytes_per_s < float("inf")
    assert link.message_s >= 0


def test_a_message_costs_half_of_what_sending_and_receiving_it_takes() -> None:
    busy = Work(size_bytes=0, core_s=0.01)
    work = [Work(size_bytes=0, core_s=0.001), Work(size_bytes=1000, core_s=0.003)] * 4
    message_s, byte_s = message_cost([*work, busy])
    assert message_s == pytest.approx(0.0005)
    assert byte_s == pytest.approx(1e-6)


def test_bytes_never_cost_less_than_nothing() -> None:
    noisy = [Work(size_bytes=0, core_s=0.003), Work(size_bytes=1000, core_s=0.001)]
    assert message_cost(noisy) == (0.0015, 0.0)


def test_a_cost_needs_frames_of_both_sizes() -> None:
    with pytest.raises(ValueError, match="both sizes"):
        message_cost([Work(size_bytes=0, core_s=0.001)])


def test_idle_work_is_told_again_only_when_it_changed_much() -> None:
    assert background_cores([0.01, 0.5, 0.01], told=0.0) == 0.01
    assert background_cores([0.011, 0.011, 0.5], told=0.01) == 0.01
    assert background_cores([0.02, 0.02, 0.5], told=0.01) == 0.02
