"""Problems of a few equal layers, random ones on a coarse grid, and every plan of a tiny one."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import PlanLink, PlanNode, Problem, Solution, evaluate
from mesh.planning.search.best import keeps
from tests.planning.random_problems import random_problem as make_random


def _simple_problem(
    speeds: dict[str, float], *, layers: int = 4, memory_bytes: int = 1000, **changes: object
) -> Problem:
    """Nodes of given seconds per layer, 10 bytes per layer, fast links among all and a gateway "gw"."""
    ids = [NodeId(name) for name in speeds]
    link = PlanLink(goodput_bytes_per_s=1000.0, message_s=0.0)
    fields: dict[str, object] = {
        "nodes": tuple(
            PlanNode(
                node_id=NodeId(name),
                layer_s=(speed,) * layers,
                stage_s=0.0,
                memory_bytes=memory_bytes,
            )
            for name, speed in speeds.items()
        ),
        "layer_memory_bytes": (10,) * layers,
        "boundary_bytes": (10,) * (layers + 1),
        "links": {
            (a, b): link for a in [*ids, NodeId("gw")] for b in [*ids, NodeId("gw")] if a != b
        },
        "gateway": NodeId("gw"),
    }
    return Problem(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def simple_problem() -> Callable[..., Problem]:
    return _simple_problem


@pytest.fixture(scope="session")
def random_problem() -> Callable[[int], Problem]:
    return make_random


def _every_solution(problem: Problem) -> Iterator[Solution]:
    """Every plan with any replicas that keeps every constraint, by trying: for very small problems."""
    ids = [node.node_id for node in problem.nodes]
    for places in itertools.product(range(min(len(ids), problem.layers) + 1), repeat=len(ids)):
        stages = max(places, default=0)
        groups = [
            tuple(one for one, place in zip(ids, places, strict=True) if place == stage)
            for stage in range(1, stages + 1)
        ]
        if not groups or not all(groups):
            continue
        for cuts in itertools.combinations(range(1, problem.layers), stages - 1):
            ranges = itertools.pairwise((0, *cuts, problem.layers))
            layers = [LayerRange(start=start, stop=stop) for start, stop in ranges]
            try:
                plan = evaluate(problem, list(zip(groups, layers, strict=True)))
            except InfeasibleError:
                continue
            if keeps(problem, plan):
                yield plan


@pytest.fixture(scope="session")
def every_solution() -> Callable[[Problem], Iterator[Solution]]:
    return _every_solution
