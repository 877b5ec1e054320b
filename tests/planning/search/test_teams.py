import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.planning.search.space import Space, build_space
from mesh.planning.search.tables import KindTable, Tables, build_tables
from mesh.planning.search.teams import Begun, Teams
from tests.planning.random_problems import random_problem

seeds = st.integers(min_value=0, max_value=10**9)
some = settings(max_examples=40, deadline=None)


def everything(
    seed: int,
) -> tuple[Tables, Space, Teams, Begun, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Every team with every start, each with every stop behind it; the stops of all."""
    tables = build_tables(random_problem(seed))
    space = build_space(tables.counts, None)
    assert space is not None
    every = [
        (team, start, stop)
        for team in range(1, space.size)
        for start in range(tables.layers)
        for stop in range(start + 1, tables.layers + 1)
    ]
    team, start, stop = np.asarray(every, np.int64).T
    teams = Teams(tables, space)
    return tables, space, teams, teams.begin(team, start), stop


def members(tables: Tables, space: Space, team: int) -> list[KindTable]:
    return [
        table
        for table, number in zip(tables.by_kind, space.digits[team], strict=True)
        for _ in range(number)
    ]


@some
@given(seeds)
def test_a_teams_period_is_its_nodes_harmonic_sum(seed: int) -> None:
    tables, space, teams, begun, stops = everything(seed)
    found = teams.period_s(begun, np.arange(len(stops)), stops)
    for team, start, stop, period in zip(begun.team, begun.start, stops, found, strict=True):
        parts = members(tables, space, team)
        paces = [max(float(part.pace[start, stop]), 1e-12) for part in parts]
        expected = 1 / sum(1 / pace for pace in paces) if np.isfinite(paces).all() else np.inf
        if start == 0:
            expected = max(expected, min(float(part.inward[0]) for part in parts))
        if stop == tables.layers:
            expected = max(expected, min(float(part.outward[stop]) for part in parts))
        assert period == pytest.approx(expected, rel=1e-12)


@some
@given(seeds)
def test_a_teams_latency_waits_for_its_slowest_node(seed: int) -> None:
    tables, space, teams, begun, stops = everything(seed)
    found = teams.latency_s(begun, np.arange(len(stops)), stops)
    for team, start, stop, latency in zip(begun.team, begun.start, stops, found, strict=True):
        parts = members(tables, space, team)
        expected = max(float(part.compute[start, stop]) for part in parts)
        expected += max(float(part.inward[start]) for part in parts)
        if stop == tables.layers:
            expected += max(float(part.outward[stop]) for part in parts)
        assert latency == pytest.approx(expected, rel=1e-12)


@some
@given(seeds, st.floats(min_value=0.0, max_value=3.0))
def test_what_keeps_a_limit_is_within_it(seed: int, limit_s: float) -> None:
    _, _, teams, begun, stops = everything(seed)
    which = np.arange(len(stops))
    within = teams.within(begun, which, stops, limit_s)
    period = teams.period_s(begun, which, stops)
    assert not (~within & (period <= limit_s)).any()
    able = teams.within(begun, which, stops, np.inf)
    assert not (~able & np.isfinite(period)).any()
