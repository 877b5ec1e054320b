import math
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.device.chunks import (
    MAX_CHUNKS,
    SliceTiming,
    able_chunks,
    choose_chunks,
    doubtful,
    halved,
    halves,
    longest_run,
    slice_constant_s,
    split,
    spread_over_pieces,
)


@st.composite
def problems(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[float, ...]]:
    layers = draw(st.integers(1, 60))
    efforts = draw(st.lists(st.floats(0, 1e9), min_size=layers, max_size=layers))
    cuts = draw(st.sets(st.integers(1, layers - 1))) if layers > 1 else set()
    return (0, *sorted(cuts), layers), tuple(efforts)


@given(problems())
def test_chunks_are_few_and_span_the_model(
    problem: tuple[tuple[int, ...], tuple[float, ...]],
) -> None:
    boundaries, efforts = problem
    chunks = choose_chunks(boundaries, efforts)
    assert set(chunks) <= set(boundaries)
    assert list(chunks) == sorted(set(chunks))
    assert (chunks[0], chunks[-1]) == (0, len(efforts))
    assert len(chunks) - 1 <= MAX_CHUNKS


def test_chunks_weigh_about_the_same() -> None:
    assert choose_chunks(range(101), [1.0] * 100, 4) == (0, 25, 50, 75, 100)
    heavy_end = [1.0] * 90 + [9.0] * 10
    assert choose_chunks(range(101), heavy_end, 2) == (0, 90, 100)


def test_every_boundary_is_a_chunk_where_there_are_few() -> None:
    assert choose_chunks((0, 2, 4, 6), [1.0] * 6) == (0, 2, 4, 6)
    assert choose_chunks((0, 6), [1.0] * 6) == (0, 6)
    assert choose_chunks((0, 1), [0.0]) == (0, 1)


@given(problems())
def test_times_are_spread_and_none_is_lost(
    problem: tuple[tuple[int, ...], tuple[float, ...]],
) -> None:
    boundaries, efforts = problem
    chunks = able_chunks(boundaries, efforts, ())
    chunk_s = [float(place + 1) for place in range(len(chunks))]
    layer_s = spread_over_pieces(boundaries, efforts, chunks, chunk_s)
    assert len(layer_s) == len(boundaries) - 1
    times = [seconds for seconds in layer_s if seconds is not None]
    assert len(times) == len(layer_s)
    assert min(times) >= 0
    ends = dict(zip(boundaries, range(len(boundaries)), strict=True))
    for (start, stop), seconds in zip(chunks, chunk_s, strict=True):
        assert math.isclose(math.fsum(times[ends[start] : ends[stop]]), seconds)


def test_inside_a_chunk_effort_decides() -> None:
    chunks = ((0, 2), (2, 4))
    spread = spread_over_pieces((0, 1, 2, 4), (1.0, 3.0, 0.0, 0.0), chunks, (8.0, 5.0))
    assert spread == (2.0, 6.0, 5.0)


def test_a_piece_of_no_chunk_has_no_time() -> None:
    spread = spread_over_pieces((0, 1, 2, 4, 5), [1.0] * 5, ((0, 1), (4, 5)), (8.0, 5.0))
    assert spread == (8.0, None, None, 5.0)


@given(problems(), st.randoms(use_true_random=False))
def test_able_chunks_cover_exactly_what_can_be_loaded(
    problem: tuple[tuple[int, ...], tuple[float, ...]], chance: Random
) -> None:
    boundaries, efforts = problem
    unable = [piece for piece in pairwise(boundaries) if chance.random() < 0.3]
    chunks = able_chunks(boundaries, efforts, unable)
    able = {
        layer for piece in pairwise(boundaries) if piece not in unable for layer in range(*piece)
    }
    covered = [layer for chunk in chunks for layer in range(*chunk)]
    assert sorted(able) == covered
    assert {end for chunk in chunks for end in chunk} <= set(boundaries)


@given(problems())
def test_a_chunk_is_split_down_to_its_pieces(
    problem: tuple[tuple[int, ...], tuple[float, ...]],
) -> None:
    boundaries, _ = problem
    waiting, pieces = [(boundaries[0], boundaries[-1])], []
    while waiting:
        chunk = waiting.pop()
        parts = split(boundaries, chunk)
        waiting += parts
        pieces += [] if parts else [chunk]
    assert sorted(pieces) == list(pairwise(boundaries))


def test_the_longest_run_has_no_gap() -> None:
    assert longest_run([(0, 1), (2, 4), (4, 5), (7, 8), (8, 9)]) == ((2, 4), (4, 5))
    assert longest_run([]) == ()


@given(
    st.lists(st.floats(0.001, 10), min_size=4, max_size=12),
    st.floats(0, 1),
)
def test_the_constant_is_found_again(net_s: list[float], constant_s: float) -> None:
    parts = [seconds + constant_s for seconds in net_s]
    middle = len(net_s) // 2
    merged = [math.fsum(net_s[:middle]) + constant_s, math.fsum(net_s[middle:]) + constant_s]
    assert math.isclose(slice_constant_s(parts, merged), constant_s, abs_tol=1e-9)


@pytest.mark.parametrize(
    ("parts", "merged", "constant_s"),
    [
        ([1.0, 1.0, 1.0], [4.0], 0.0),  # noise made the merged one slower: never negative
        ([0.1, 5.0, 5.0], [1.0], 0.1),  # never more than the least part
        ([1.0, 2.0], [], 0.0),
        ([3.0], [3.0], 0.0),
    ],
)
def test_the_constant_stays_possible(
    parts: list[float], merged: list[float], constant_s: float
) -> None:
    assert slice_constant_s(parts, merged) == constant_s


def test_halves() -> None:
    assert halves(((0, 3), (3, 5), (5, 8), (8, 9))) == ((0, 5), (5, 9))
    assert halves(((0, 3), (3, 5), (5, 8))) == ()


def test_the_least_of_two_timings() -> None:
    one, other = SliceTiming(compute_s=1, call_s=4), SliceTiming(compute_s=2, call_s=3)
    assert one.least(other) == SliceTiming(compute_s=1, call_s=3)
    assert one.least(None) == one


BOUNDARIES = (0, 2, 4, 6, 8, 10, 12)
EFFORTS = (1.0,) * 12
THIRDS = ((0, 4), (4, 8), (8, 12))


def test_a_chunk_that_takes_what_was_guessed_is_not_doubted() -> None:
    assert doubtful(BOUNDARIES, EFFORTS, THIRDS, (1.0, 1.0, 1.05)) is None
    assert doubtful(BOUNDARIES, EFFORTS, THIRDS, (0.0, 0.0, 0.0)) is None


def test_the_chunk_furthest_from_the_guess_is_doubted_slow_or_fast() -> None:
    assert doubtful(BOUNDARIES, EFFORTS, THIRDS, (1.0, 3.0, 1.0)) == (4, 8)
    assert doubtful(BOUNDARIES, EFFORTS, THIRDS, (0.1, 1.0, 1.0)) == (0, 4)


def test_a_chunk_of_one_piece_hides_nothing() -> None:
    chunks = ((0, 4), (4, 6), (6, 12))
    assert doubtful((0, 2, 4, 6, 8, 12), EFFORTS, chunks, (1.0, 9.0, 2.0)) != (4, 6)


def test_halves_of_a_chunk_weigh_about_the_same() -> None:
    assert halved(BOUNDARIES, EFFORTS, (0, 12)) == ((0, 6), (6, 12))
    efforts = (9.0, 9.0, *EFFORTS[2:])
    assert halved(BOUNDARIES, efforts, (0, 12)) == ((0, 2), (2, 12))
