import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.ids import ModelId
from mesh.pipeline.statistics import MAX_RECORDS, RATE_WINDOW_S, WINDOW_S, Statistics
from mesh.wire.documents import GatewayStats

MODEL = ModelId("0" * 64)


def summary(statistics: Statistics, now_s: float) -> GatewayStats:
    return statistics.summary(MODEL, now_s, in_flight=0, queued=0)


def filled(latencies_s: list[float], at_s: float = 0.0) -> Statistics:
    statistics = Statistics()
    for latency_s in latencies_s:
        statistics.answered(at_s, latency_s)
    return statistics


def test_nothing_yet() -> None:
    told = summary(Statistics(), 5.0)
    assert (told.requests_per_s, told.p50_s, told.p95_s) == (0.0, None, None)
    assert (told.answered, told.failed) == (0, 0)


@pytest.mark.parametrize(
    ("count", "p50", "p95"), [(1, 1, 1), (2, 1, 2), (3, 2, 3), (20, 10, 19), (100, 50, 95)]
)
def test_percentiles_by_nearest_rank(count: int, p50: int, p95: int) -> None:
    told = summary(filled([float(i) for i in range(count, 0, -1)]), 0.0)
    assert (told.p50_s, told.p95_s) == (p50, p95)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50))
def test_a_percentile_is_the_least_latency_that_covers_its_share(latencies_s: list[float]) -> None:
    told = summary(filled(latencies_s), 0.0)
    for value, share in ((told.p50_s, 0.5), (told.p95_s, 0.95)):
        assert value is not None
        needed = math.ceil(share * len(latencies_s))
        assert sum(latency_s <= value for latency_s in latencies_s) >= needed
        assert sum(latency_s < value for latency_s in latencies_s) < needed


def test_the_rate_is_that_of_the_last_seconds() -> None:
    statistics = Statistics()
    for i in range(101):
        statistics.answered(100.0 + i / 50, 0.1)
    for later_s in (0.0, 5.0):  # a burst is told as it was, also a while later
        assert summary(statistics, 102.0 + later_s).requests_per_s == pytest.approx(50)
    assert summary(statistics, 102.1 + RATE_WINDOW_S).requests_per_s == 0.0


def test_a_few_answers_are_no_burst() -> None:
    assert summary(filled([0.1] * 2, at_s=100.0), 100.0).requests_per_s == 2 / RATE_WINDOW_S
    assert summary(filled([0.1] * 5, at_s=100.0), 100.0).requests_per_s == 4.0


def test_a_record_that_is_full_still_knows_the_rate() -> None:
    statistics = Statistics()
    for i in range(2 * MAX_RECORDS):
        statistics.answered(i / 1000, 0.1)
    told = summary(statistics, 2 * MAX_RECORDS / 1000)
    assert told.requests_per_s == pytest.approx(1000, rel=0.01)
    assert told.answered == 2 * MAX_RECORDS


def test_latencies_are_forgotten_after_a_minute_and_counts_never() -> None:
    statistics = filled([0.1], at_s=0.0)
    statistics.failed(0.0)
    told = summary(statistics, WINDOW_S + 1)
    assert told.p50_s is None
    assert (told.answered, told.failed) == (1, 1)


def test_what_the_gateway_adds() -> None:
    told = Statistics().summary(MODEL, 0.0, in_flight=2, queued=3)
    assert (told.model_id, told.in_flight, told.queued) == (MODEL, 2, 3)
