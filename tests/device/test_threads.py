from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.device.threads import MAX_THREADS, WORTHWHILE_GAIN, best_threads, most_threads


@pytest.mark.parametrize(
    ("configured", "cores", "nodes", "most"),
    [
        (0, 1, 1, 1),
        (0, 4, 1, 4),
        (0, 12, 1, 4),
        (6, 4, 1, 6),
        (0, 0, 1, 1),
        (0, 4, 2, 2),
        (0, 4, 3, 1),
        (0, 2, 3, 1),
        (3, 4, 9, 3),
        (0, 4, 0, 4),
    ],
)
def test_most_threads_are_this_nodes_share(
    configured: int, cores: int, nodes: int, most: int
) -> None:
    assert most_threads(configured, cores, nodes) == most


@pytest.mark.parametrize(
    ("times_s", "best"),
    [
        ({1: 10.0}, 1),
        ({1: 10.0, 2: 5.5}, 2),
        ({1: 10.0, 2: 9.5}, 1),
        ({1: 10.0, 2: 6.0, 3: 5.0, 4: 4.7}, 3),
        ({1: 10.0, 2: 6.0, 3: 5.6, 4: 4.5}, 4),
        ({1: 0.0, 2: 0.0}, 1),
    ],
)
def test_the_fewest_that_are_about_the_fastest(times_s: Mapping[int, float], best: int) -> None:
    assert best_threads(len(times_s), times_s.__getitem__) == best


def test_after_a_collapse_no_more_are_tried() -> None:
    tried: list[int] = []

    def on_busy_cores(threads: int) -> float:
        tried.append(threads)
        return 0.02 if threads == 1 else 0.949

    assert best_threads(4, on_busy_cores) == 1
    assert tried == [1, 2]


@given(st.lists(st.floats(1e-6, 10), min_size=1, max_size=MAX_THREADS))
def test_it_is_never_much_slower_than_any_other(times_s: list[float]) -> None:
    tried: dict[int, float] = {}

    def time_with(threads: int) -> float:
        tried[threads] = times_s[threads - 1]
        return tried[threads]

    best = best_threads(len(times_s), time_with)
    assert tried[best] <= WORTHWHILE_GAIN * min(tried.values())
    assert all(s > WORTHWHILE_GAIN * min(tried.values()) for n, s in tried.items() if n < best)
