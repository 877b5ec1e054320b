import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.fleet.drift import (
    BAND,
    MAX_REST_S,
    REST_S,
    SUSTAIN_S,
    THROTTLED,
    Pace,
    Reading,
    first_pace,
    look,
)

BENCH_S = 0.1


def seen(
    ratios: Sequence[float | None],
    pace: Pace | None = None,
    *,
    benchmark_s: float = BENCH_S,
    throttled: bool = False,
    from_s: float = 0.0,
) -> Pace:
    """What is believed after one look a second."""
    for i, ratio in enumerate(ratios):
        reading = Reading(benchmark_s=benchmark_s, ratio=ratio, is_throttled=throttled)
        pace = look(pace, reading, now_s=from_s + i)
    assert pace is not None
    return pace


LONG = math.ceil(SUSTAIN_S) + 2  # the first look only begins to know the node
SLOW = seen([1.0] + [3.0] * LONG)
SLOW_S = 1.0 + LONG


def test_a_benchmark_is_believed_at_first() -> None:
    pace = seen([None])
    assert pace.is_trusted
    assert pace.factor(BENCH_S) == pace.slowness == 1.0
    assert not pace.is_due(1e9)


def test_noise_within_the_band_changes_nothing() -> None:
    pace = seen([1.0, 1.25, 0.8, BAND * 0.999] * 10)
    assert pace.is_trusted
    assert pace.factor(BENCH_S) == 1.0


def test_a_hiccup_changes_nothing() -> None:
    assert seen([1.0, 3.0, 3.0, 1.0, 3.0, 3.0, 1.0] * 5).is_trusted


def test_readings_that_swing_both_ways_change_nothing() -> None:
    assert seen([1.0, *[3.0, 0.3] * 20]).is_trusted


def test_a_lasting_slowdown_is_believed() -> None:
    assert seen([1.0] + [3.0] * math.ceil(SUSTAIN_S)).is_trusted
    assert not SLOW.is_trusted
    assert SLOW.factor(BENCH_S) == SLOW.slowness == pytest.approx(3.0)


def test_a_node_faster_than_its_benchmark_is_believed_too() -> None:
    assert seen([1.0] + [0.5] * LONG).factor(BENCH_S) == pytest.approx(0.5)


def test_a_slow_node_that_shows_itself_fast_again_is_trusted_again() -> None:
    pace = seen([1.0] * LONG, SLOW, from_s=SLOW_S)
    assert pace.is_trusted
    assert pace.factor(BENCH_S) == 1.0


def test_what_runs_nothing_shows_nothing() -> None:
    pace = seen([None] * 1000, SLOW, from_s=SLOW_S)
    assert pace.slowness == pytest.approx(3.0)
    assert pace.is_due(SLOW_S + REST_S)
    assert not pace.is_due(REST_S)


def test_a_rested_node_is_believed_what_it_measures_then() -> None:
    early = seen([None], SLOW, benchmark_s=0.101, from_s=REST_S - 5)
    assert not early.is_trusted
    assert early.factor(0.101) == pytest.approx(0.3 / 0.101)
    late = seen([None], early, benchmark_s=0.101, from_s=SLOW_S + REST_S)
    assert late.is_trusted
    assert late.factor(0.101) == 1.0


def test_a_throttled_node_goes_on_resting() -> None:
    pace = seen([None], SLOW, benchmark_s=0.101, throttled=True, from_s=SLOW_S + REST_S)
    assert not pace.is_trusted


def test_a_node_that_measures_itself_slow_rests_twice_as_long() -> None:
    pace = seen([None], SLOW, benchmark_s=0.29, from_s=SLOW_S + REST_S)
    assert not pace.is_trusted
    assert pace.factor(0.29) == 1.0
    assert pace.slowness == pytest.approx(2.9)
    assert not pace.is_due(SLOW_S + 2.9 * REST_S)
    assert pace.is_due(SLOW_S + 3 * REST_S)
    fast = seen([None], pace, benchmark_s=0.1, from_s=SLOW_S + 3 * REST_S)
    assert fast.is_trusted


def test_a_node_that_disappoints_again_rests_twice_as_long() -> None:
    trusted = seen([None], SLOW, benchmark_s=0.101, from_s=SLOW_S + REST_S)
    again = seen([3.0] * LONG, trusted, benchmark_s=0.101, from_s=SLOW_S + REST_S)
    assert again.rest_s == 2 * REST_S
    much_later = seen([3.0] * LONG, trusted, benchmark_s=0.101, from_s=SLOW_S + 3 * REST_S)
    assert much_later.rest_s == REST_S, "it did well for as long as it had rested"


def test_a_throttled_node_that_runs_nothing_is_taken_to_be_slower() -> None:
    pace = seen([None] * (LONG + 1), throttled=True)
    assert pace.factor(BENCH_S) == pytest.approx(THROTTLED)
    assert seen([1.0] * 50, throttled=True).is_trusted, "what it shows counts for more"


def test_a_trusted_node_that_measures_anew_is_believed() -> None:
    pace = seen([1.0], seen([1.0]), benchmark_s=0.5)
    assert pace.is_trusted
    assert pace.factor(0.5) == 1.0


def test_a_benchmark_of_nothing_is_no_measure() -> None:
    reading = Reading(benchmark_s=0.0, ratio=3.0)
    pace = look(first_pace(reading), reading, now_s=1.0)
    assert pace.factor(0.0) == pace.slowness == 1.0


# For all readings


ratios = st.floats(0.01, 100.0) | st.none()


@given(st.lists(st.tuples(ratios, st.booleans(), st.sampled_from([0.05, 0.1, 0.3])), max_size=80))
def test_beliefs_are_sound(looks: list[tuple[float | None, bool, float]]) -> None:
    pace = None
    for i, (ratio, throttled, benchmark_s) in enumerate(looks):
        reading = Reading(benchmark_s=benchmark_s, ratio=ratio, is_throttled=throttled)
        pace = look(pace, reading, now_s=20.0 * i)
        assert pace.factor(benchmark_s) > 0
        assert pace.slowness > 0
        assert 0 <= pace.rest_s <= MAX_REST_S
        if pace.is_trusted:
            assert pace.factor(benchmark_s) == pace.slowness == 1.0


@given(st.floats(1 / BAND + 0.01, BAND - 0.01))
def test_constant_readings_within_the_band_never_change_a_belief(ratio: float) -> None:
    assert seen([ratio] * 200).is_trusted


@given(ratio=st.floats(BAND + 0.01, 50.0), step=st.floats(0.1, 1.5))
def test_a_constant_slowdown_is_believed_within_seconds(ratio: float, step: float) -> None:
    pace, now_s = None, 0.0
    while now_s < 2 * SUSTAIN_S + 2 * step:
        pace = look(pace, Reading(benchmark_s=BENCH_S, ratio=ratio), now_s=now_s)
        now_s += step
    assert pace is not None
    assert pace.slowness == pytest.approx(ratio)


@given(period_s=st.integers(2, 20), slow=st.floats(1.5, 5.0), shows=st.sampled_from([True, False]))
def test_beliefs_in_a_flapping_node_that_is_left_when_slow_settle(
    period_s: int, slow: float, shows: bool
) -> None:
    """Work leaves it as soon as it is doubted, and comes back when it is trusted."""
    pace = first_pace(Reading(benchmark_s=BENCH_S))
    changes: list[float] = []
    for now_s in range(3600):
        is_slow = (now_s // period_s) % 2 == 1
        trusted = pace.is_trusted
        ratio = (slow if is_slow else 1.0) if trusted and shows else None
        benchmark_s = BENCH_S + 1e-6 * now_s if pace.is_due(now_s) else pace.benchmark_s
        reading = Reading(benchmark_s=benchmark_s, ratio=ratio, is_throttled=is_slow)
        pace = look(pace, reading, now_s=float(now_s))
        if pace.is_trusted and not trusted:
            changes.append(now_s)
    assert all(later - one >= REST_S for one, later in pairwise(changes))
    assert len(changes) <= 2 * math.log2(3600 / REST_S) + 1
