"""Small random problems on a coarse grid of numbers, so that ties are frequent, and an oracle."""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from random import Random
from typing import Any, TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import Objective, PlanLink, PlanNode, Problem

Plan: TypeAlias = tuple[tuple[NodeId, LayerRange], ...]

Verdict: TypeAlias = tuple[Plan, Fraction, Fraction]
"""The best plan with its period and latency in seconds."""


def _random_problem(seed: int) -> Problem:
    """1 to 5 nodes, 1 to 7 layers; multiples of 1/8 s, so that equal sums are common."""
    draw = Random(seed)
    layers = draw.randint(1, 7)
    ids = [NodeId(f"n{index}") for index in range(draw.randint(1, 5))]
    draw.shuffle(ids)
    times = [_times(draw, layers) for _ in range(draw.randint(1, 3))]
    roomy = draw.random() < 0.4
    nodes = tuple(
        PlanNode(
            node_id=node_id,
            layer_s=draw.choice(times),
            stage_s=draw.choice((0.0, 0.125)),
            memory_bytes=1000 if roomy else draw.randint(4, 30),
        )
        for node_id in ids
    )
    gateway = draw.choice((None, NodeId("gw"), NodeId("gw"), ids[0]))
    ends = [*ids, NodeId("gw")]
    speeds = [
        PlanLink(goodput_bytes_per_s=draw.choice((8, 64)), message_s=draw.choice((0.0, 0.125)))
        for _ in range(draw.randint(1, 3))
    ]
    density = draw.choice((1.0, 1.0, 0.7))
    frames = draw.random() < 0.4
    smallest = draw.choice((1, 1, 1, 2, 3))
    return Problem(
        nodes=nodes,
        layer_memory_bytes=tuple(draw.randint(0, 8) for _ in range(layers)),
        boundary_bytes=tuple(draw.randint(0, 8) for _ in range(layers + 1)),
        links={
            (a, b): draw.choice(speeds)
            for a in ends
            for b in ends
            if a != b and draw.random() < density
        },
        gateway=gateway,
        stage_memory_bytes=draw.choice((0, 2)),
        receive_memory_bytes=_frames(draw, layers) if frames else (),
        send_memory_bytes=_frames(draw, layers) if frames else (),
        min_stages=smallest,
        max_stages=draw.choice((None, None, smallest, smallest + 1)),
        latency_bound_s=draw.choice((float("inf"), float("inf"), 1.5, 2.5, 4.0)),
        objective=draw.choice(tuple(Objective)),
    )


def _times(draw: Random, layers: int) -> tuple[float | None, ...]:
    """One kind of node in three cannot run every layer."""
    gaps = 0.3 if draw.random() < 0.33 else 0.0
    return tuple(None if draw.random() < gaps else draw.randint(0, 6) / 8 for _ in range(layers))


def _frames(draw: Random, layers: int) -> tuple[int, ...]:
    return tuple(draw.randint(0, 6) for _ in range(layers + 1))


def every_plan(problem: Problem) -> Iterator[Plan]:
    """Every order of every subset of nodes with every choice of cuts."""
    ids = [node.node_id for node in problem.nodes]
    most = min(len(ids), problem.layers, problem.max_stages or len(ids))
    for stages in range(problem.min_stages, most + 1):
        for order in itertools.permutations(ids, stages):
            for cuts in itertools.combinations(range(1, problem.layers), stages - 1):
                ranges = itertools.pairwise((0, *cuts, problem.layers))
                yield tuple(
                    (node_id, LayerRange(start=start, stop=stop))
                    for node_id, (start, stop) in zip(order, ranges, strict=True)
                )


def figures(problem: Problem, plan: Plan) -> tuple[Fraction, Fraction] | None:
    """Period and latency from the definition, exact; None where the plan cannot run."""
    nodes = {node.node_id: node for node in problem.nodes}
    parts: list[Fraction] = []
    before = problem.gateway
    for node_id, layers in plan:
        node = nodes[node_id]
        if _memory(problem, layers) > node.memory_bytes:
            return None
        hop = _hop(problem, before, node_id, layers.start)
        if hop is None:
            return None
        times = [s for s in node.layer_s[layers.start : layers.stop] if s is not None]
        if len(times) < len(layers):
            return None
        parts += [hop, sum(map(Fraction, times), start=Fraction(node.stage_s))]
        before = node_id
    out = _hop(problem, before, problem.gateway, problem.layers)
    if out is None or sum(parts) + out > problem.latency_bound_s:
        return None
    return max(*parts, out), sum(parts) + out


def _memory(problem: Problem, layers: LayerRange) -> float:
    received = problem.receive_memory_bytes[layers.start] if problem.receive_memory_bytes else 0
    sent = problem.send_memory_bytes[layers.stop] if problem.send_memory_bytes else 0
    held = sum(problem.layer_memory_bytes[layers.start : layers.stop])
    return problem.stage_memory_bytes + held + received + sent


def _hop(
    problem: Problem, sender: NodeId | None, receiver: NodeId | None, boundary: int
) -> Fraction | None:
    if sender is None or receiver is None or sender == receiver:
        return Fraction(0)
    link = problem.links.get((sender, receiver))
    if link is None:
        return None
    return Fraction(link.transfer_s(problem.boundary_bytes[boundary]))


def _best_by_trying(problem: Problem) -> Verdict | None:
    """The first of all plans that can run: by objective, other figure, stages, node ids, cuts."""
    found: list[tuple[tuple[Any, ...], Verdict]] = []
    for plan in every_plan(problem):
        both = figures(problem, plan)
        if both is not None:
            first = both if problem.objective is Objective.THROUGHPUT else both[::-1]
            ids = tuple(node_id for node_id, _ in plan)
            cuts = tuple(layers.stop for _, layers in plan)
            found.append(((*first, len(plan), ids, cuts), (plan, *both)))
    return min(found, key=lambda pair: pair[0])[1] if found else None


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
    return _random_problem


@pytest.fixture(scope="session")
def best_by_trying() -> Callable[[Problem], Verdict | None]:
    return _best_by_trying
