from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.planning.search.budget import MOST_PAIRS
from mesh.planning.search.space import Space, build_space, count_pairs

counts_of_kinds = st.lists(st.integers(min_value=1, max_value=3), min_size=1, max_size=4)
replicas = st.sampled_from((None, 1, 2, 3))


def pairs_of(space: Space) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(used, team) as numbers of each kind."""
    digits = [tuple(map(int, row)) for row in space.digits]
    return {
        (digits[used], digits[space.teams[pair]])
        for used in range(space.size)
        for pair in range(space.first[used], space.first[used + 1])
    }


@settings(deadline=None)
@given(counts_of_kinds, replicas)
def test_pairs_are_all_teams_of_the_nodes_that_are_left(
    counts: list[int], most: int | None
) -> None:
    space = build_space(counts, most)
    assert space is not None
    every = list(product(*(range(count + 1) for count in counts)))
    expected = {
        (used, team)
        for used, team in product(every, every)
        if 0 < sum(team) <= (most or sum(counts))
        and all(u + t <= c for u, t, c in zip(used, team, counts, strict=True))
    }
    assert pairs_of(space) == expected
    assert len(space.teams) == len(expected)


@settings(deadline=None)
@given(counts_of_kinds, replicas)
def test_using_a_team_is_adding_its_number(counts: list[int], most: int | None) -> None:
    space = build_space(counts, most)
    assert space is not None
    used = np.repeat(np.arange(space.size), np.diff(space.first))
    assert (space.digits[used] + space.digits[space.teams] == space.digits[space.unions]).all()
    assert (space.totals == space.digits.sum(axis=1)).all()
    assert space.digits[space.full].tolist() == counts
    assert space.steps[0] == 1


def test_pairs_are_counted_before_they_are_made() -> None:
    assert count_pairs([1] * 3, 1) == 3 * 4
    assert count_pairs([1] * 3, None) == 27  # with the empty team
    assert count_pairs([2], None) == 6


@pytest.mark.parametrize(("nodes", "most"), [(16, None), (24, 1)])
def test_a_space_that_is_too_large_is_not_made(nodes: int, most: int | None) -> None:
    assert count_pairs([1] * nodes, most) > MOST_PAIRS
    assert build_space([1] * nodes, most) is None


def test_sixteen_unlike_nodes_without_replicas_are_within_reach() -> None:
    assert build_space([1] * 16, 1) is not None
