import math

from hypothesis import given
from hypothesis import strategies as st

from mesh.planning.ticks import NEVER, STAGE, any_count, last_ticks_within, to_float, to_ticks

durations = st.floats(min_value=2**-27, max_value=1e12)


@given(durations)
def test_a_duration_survives(seconds: float) -> None:
    assert to_float(to_ticks(seconds)) == seconds


@given(durations)
def test_stages_are_counted_below_every_duration(seconds: float) -> None:
    assert to_float(to_ticks(seconds) + 1000 * STAGE) == seconds
    assert any_count(to_ticks(seconds)) < to_ticks(math.nextafter(seconds, math.inf))


@given(st.lists(durations, max_size=20), st.randoms(use_true_random=False))
def test_sums_do_not_depend_on_their_order(values: list[float], random: object) -> None:
    assert sum(map(to_ticks, values)) == sum(map(to_ticks, sorted(values)))


@given(st.floats(min_value=5e-324, max_value=1e300))
def test_a_limit_is_the_last_sum_that_reads_as_within_it(bound: float) -> None:
    assert to_float(last_ticks_within(bound)) <= bound
    assert to_ticks(bound) <= last_ticks_within(bound)


def test_infinity_is_never() -> None:
    assert to_ticks(math.inf) == NEVER
    assert last_ticks_within(math.inf) == NEVER - 1
    assert to_ticks(1.7e308) < NEVER
