from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.ids import NodeId
from mesh.planning import PlanLink, Problem
from mesh.planning.search.tables import UNABLE, build_tables
from tests.planning.brute_force import every_plan, hop_s, replica_of
from tests.planning.random_problems import random_problem

MakeProblem: TypeAlias = Callable[..., Problem]

seeds = st.integers(min_value=0, max_value=10**9)
some = settings(max_examples=60, deadline=None)

A, B, GATEWAY = NodeId("a"), NodeId("b"), NodeId("gw")


def test_compute_counts_layers_and_the_stage_once(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.125})
    nodes = (replace(problem.nodes[0], stage_s=0.25, layer_s=(0.5, None, 1.0, 2.0)),)
    (table,) = build_tables(replace(problem, nodes=nodes)).by_kind
    assert table.compute[2, 4] == 3.25
    assert table.compute[0, 1] == 0.75
    assert np.isinf([table.compute[0, 2], table.compute[1, 3], table.compute[2, 2]]).all()
    assert table.rate[0, 2] == UNABLE


def test_what_does_not_fit_or_is_private_takes_for_ever(simple_problem: MakeProblem) -> None:
    problem = simple_problem({"a": 0.1}, memory_bytes=20, private_layers=1)
    (table,) = build_tables(problem).by_kind
    assert np.isfinite(table.compute[1:3, 3]).tolist() == [True, True]
    assert np.isinf([table.compute[1, 4], table.compute[0, 1]]).all()


def test_the_gateways_links_count_at_the_ends_and_the_best_others_between(
    simple_problem: MakeProblem,
) -> None:
    problem = simple_problem({"a": 0.1, "b": 0.2}, boundary_bytes=(10, 20, 30, 40, 50))
    links = {**problem.links, (GATEWAY, A): PlanLink(goodput_bytes_per_s=1.0, message_s=0.5)}
    a, b = build_tables(replace(problem, links=links)).by_kind
    assert a.inward[0] == 10.5
    assert b.inward[:4] == pytest.approx([0.01, 0.02, 0.03, 0.04])
    assert a.outward[1:] == pytest.approx([0.02, 0.03, 0.04, 0.05])
    assert a.hops[1][2] == pytest.approx(0.03)
    assert np.isinf(a.hops[0]).all()  # a single node has no other of its kind to send to


@some
@given(seeds)
def test_no_replica_of_any_plan_is_quicker_than_its_tables_say(seed: int) -> None:
    problem = random_problem(seed)
    tables = build_tables(problem)
    of_node = {
        node.node_id: table
        for kind, table in zip(tables.kinds, tables.by_kind, strict=True)
        for node in kind.nodes
    }
    for plan in islice(every_plan(problem), 300):
        for stage, (group, start, stop) in enumerate(plan):
            for one in group:
                found, table = replica_of(problem, plan, stage, one), of_node[one]
                if found is None:
                    continue
                assert found.compute_s == pytest.approx(table.compute[start, stop])
                assert found.pace_s >= table.pace[start, stop] * (1 - 1e-12)
                assert found.in_s >= table.inward[start] * (1 - 1e-12)
                assert found.out_s >= table.outward[stop] * (1 - 1e-12)


@some
@given(seeds)
def test_hops_are_those_of_any_two_nodes_of_the_kinds(seed: int) -> None:
    problem = random_problem(seed)
    tables = build_tables(problem)
    for kind, table in zip(tables.kinds, tables.by_kind, strict=True):
        for other, hops in zip(tables.kinds, table.hops, strict=True):
            pairs = [(a.node_id, b.node_id) for a in kind.nodes for b in other.nodes if a is not b]
            for boundary in range(problem.layers + 1):
                for a, b in pairs:
                    assert hops[boundary] == hop_s(problem, a, b, boundary)
