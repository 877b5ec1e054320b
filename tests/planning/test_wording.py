import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.planning.wording import (
    article,
    bit_rate,
    duration,
    duration_at_least,
    exact_size,
    factor,
    listed,
    percent,
    rate,
    size,
)

UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 µs"), (4.2e-5, "42 µs"), (0.0123, "12.3 ms"), (1.5, "1.5 s"), (1234.0, "1234 s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_sizes() -> None:
    assert [size(1), size(900), size(1536), size(3 << 20), size(5 << 30)] == [
        "1 byte",
        "900 bytes",
        "1.5 KiB",
        "3 MiB",
        "5 GiB",
    ]
    assert exact_size(1536) == "1.5 KiB (1,536 bytes)"


def test_rates() -> None:
    assert rate(51.28) == "51.3 requests/s"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.06096, "60.96 ms"),
        (0.060961, "60.97 ms"),
        (0.42, "420 ms"),
        (0.42000000000000004, "420.1 ms"),
        (12.3401, "12.35 s"),
        (59e-6, "59 µs"),
        (0.0, "0 µs"),
    ],
)
def test_durations_that_are_enough_are_rounded_up(seconds: float, words: str) -> None:
    assert duration_at_least(seconds) == words


@given(st.floats(min_value=1e-9, max_value=1e6))
def test_a_duration_that_is_enough_is_enough_and_hardly_more(seconds: float) -> None:
    figure, unit = duration_at_least(seconds).split()
    told_s = float(figure) * UNITS[unit]
    assert seconds * (1 - 1e-12) <= told_s <= seconds * 1.001 + 1e-15


def test_factors_close_to_one_have_more_places() -> None:
    assert [factor(value) for value in (1.84, 2.0, 1.04, 13.2, 250.0)] == [
        "1.8×",
        "2×",
        "1.04×",
        "13×",
        "250×",
    ]


def test_shares_are_rounded_up() -> None:
    assert [percent(share) for share in (0.121, 0.0031, 0.5)] == ["13 %", "0.4 %", "50 %"]


def test_numbers_have_the_article_that_they_are_spoken_with() -> None:
    assert [article(number) for number in (2, 8, 11, 12, 18, 80, 81, 110)] == [
        *("a", "an", "an", "a", "an", "an", "an", "a")
    ]


def test_lists_read_as_people_write_them() -> None:
    assert [listed([]), listed(["a"]), listed(["a", "b"])] == ["", "a", "a and b"]
    assert listed(["a", "b", "c"], word="or") == "a, b or c"
    assert listed(["a", "b", "c", "d"], most=3) == "a, b and 2 more"


@pytest.mark.parametrize(
    ("bytes_per_s", "expected"),
    [
        (117.5e6, "940 Mbit/s"),
        (125e6, "1 Gbit/s"),
        (4_375_000, "35 Mbit/s"),
        (1250, "10 kbit/s"),
        (10, "80 bit/s"),
    ],
)
def test_bit_rates_are_as_networks_are_sold(bytes_per_s: float, expected: str) -> None:
    assert bit_rate(bytes_per_s) == expected
