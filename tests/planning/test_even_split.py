from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.planning.even_split import SLACK, WORTH, even_split


def _dearest(cuts: tuple[int, ...], costs: list[float]) -> float:
    return max(sum(costs[start:stop]) for start, stop in pairwise((0, *cuts, len(costs))))


def test_equal_layers_are_shared_equally() -> None:
    boundaries, live = range(9), [1] * 9
    assert even_split(boundaries, live, [1.0] * 8, 2) == (4,)
    assert even_split(boundaries, live, [1.0] * 8, 4) == (2, 4, 6)
    assert even_split(boundaries, live, [1.0] * 8, 1) == ()


def test_of_nearly_even_cuts_the_one_that_less_crosses_is_chosen() -> None:
    live = [0] + [1000] * 19 + [0]
    live[11] = 1
    assert even_split(range(21), live, [1.0] * 20, 2) == (11,)
    live[11] = 900  # hardly less
    assert even_split(range(21), live, [1.0] * 20, 2) == (10,)
    live[11], live[14] = 1000, 1
    assert even_split(range(21), live, [1.0] * 20, 2) == (10,)


@pytest.mark.parametrize("stages", [2, 3, 4])
def test_too_few_cuts(stages: int) -> None:
    assert even_split([0, 5], [0, 0], [1.0] * 5, stages) is None


def test_layers_that_cost_nothing() -> None:
    assert even_split(range(4), [0] * 4, [0.0] * 3, 3) == (1, 2)


@given(data=st.data())
def test_as_good_as_trying_all(data: st.DataObject) -> None:
    costs = data.draw(st.lists(st.floats(0, 100), min_size=2, max_size=9))
    inner = data.draw(st.sets(st.integers(1, len(costs) - 1), min_size=1))
    boundaries = [0, *sorted(inner), len(costs)]
    live = data.draw(
        st.lists(st.integers(0, 50), min_size=len(boundaries), max_size=len(boundaries))
    )
    stages = data.draw(st.integers(1, len(boundaries) - 1))

    cuts = even_split(boundaries, live, costs, stages)

    assert cuts is not None
    assert set(cuts) <= inner
    assert len(set(cuts)) == stages - 1
    bytes_at = dict(zip(boundaries, live, strict=True))
    ways = list(combinations(sorted(inner), stages - 1))
    allowed = min(_dearest(way, costs) for way in ways) + SLACK * sum(costs) / stages
    near = 1e-6 * sum(costs)
    assert _dearest(cuts, costs) <= allowed + near
    surely_allowed = [way for way in ways if _dearest(way, costs) <= allowed - near]
    crossing = [sum(bytes_at[cut] for cut in way) for way in (cuts, *surely_allowed)]
    assert WORTH * crossing[0] <= min(crossing)
