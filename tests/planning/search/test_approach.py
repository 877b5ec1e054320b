import math
from dataclasses import replace
from itertools import islice

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.planning.search.approach import find_approach
from mesh.planning.search.budget import Budget
from mesh.planning.search.prices import best_prices
from mesh.planning.search.space import Ints
from mesh.planning.search.tables import Tables, build_tables
from tests.planning.brute_force import Plan, every_plan, figures, replica_of
from tests.planning.random_problems import random_problem

seeds = st.integers(min_value=0, max_value=10**9)


def kinds_in(tables: Tables, plan: Plan, stages: int) -> Ints:
    """How many nodes of each kind the plan's last stages have."""
    groups = [group for group, _, _ in plan[len(plan) - stages :]]
    return np.asarray(
        [
            sum(node.node_id in group for node in kind.nodes for group in groups)
            for kind in tables.kinds
        ]
    )


@settings(max_examples=80, deadline=None)
@given(seeds, st.booleans())
def test_no_plan_reaches_a_stage_sooner(seed: int, is_free: bool) -> None:
    problem = random_problem(seed)
    tables = build_tables(problem)
    prices = best_prices(tables, math.inf, math.inf, Budget(2.0)).prices
    if is_free:
        prices = replace(prices, of_kind=(0.0,) * len(tables.kinds))
    approach = find_approach(tables, prices, math.inf)
    for plan in islice(every_plan(problem), 500):
        if figures(problem, plan) is None:
            continue
        elapsed_s = 0.0
        for stage, (group, start, _) in enumerate(plan):
            replicas = [replica_of(problem, plan, stage, one) for one in group]
            able = [it for it in replicas if it is not None]
            arrived_s = elapsed_s + max(it.in_s for it in able)
            members = [
                k
                for k, kind in enumerate(tables.kinds)
                if any(node.node_id in group for node in kind.nodes)
            ]
            left = np.asarray(tables.counts) - kinds_in(tables, plan, len(plan) - stage)
            least_s = approach.before(members, left, problem.layers)[start]
            assert arrived_s >= least_s - 1e-9
            elapsed_s = arrived_s + max(it.compute_s for it in able)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_request_is_at_the_first_stage_after_the_gateways_link(seed: int) -> None:
    tables = build_tables(random_problem(seed))
    prices = best_prices(tables, math.inf, math.inf, Budget(2.0)).prices
    approach = find_approach(tables, prices, math.inf)
    assert approach.arrival_s[:, 0].tolist() == [table.inward[0] for table in tables.by_kind]
