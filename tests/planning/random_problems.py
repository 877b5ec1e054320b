"""Random problems of the planner on a coarse grid of numbers, so that ties are frequent; and medium ones."""

import math
from dataclasses import dataclass
from random import Random
from typing import Any

from mesh.ids import NodeId
from mesh.planning import Objective, PlanLink, PlanNode, Problem

GATEWAY = NodeId("gw")


def random_problem(seed: int) -> Problem:
    """1 to 5 nodes, 1 to 6 layers; multiples of 1/8 s, so that equal sums are common."""
    draw = Random(seed)
    layers = draw.randint(1, 6)
    ids = [NodeId(f"n{index}") for index in range(draw.randint(1, 4 if seed % 5 else 5))]
    draw.shuffle(ids)
    return Problem(
        nodes=_nodes(draw, ids, layers),
        layer_memory_bytes=_small(draw, layers, 8),
        boundary_bytes=_small(draw, layers + 1, 8),
        links=_links(draw, ids),
        gateway=draw.choice((None, GATEWAY, GATEWAY, ids[0])),
        stage_memory_bytes=draw.choice((0, 2)),
        **_frames(draw, layers),
        **_limits(draw),
        **_rights(draw, ids, layers),
        latency_bound_s=draw.choice((math.inf, math.inf, 1.5, 2.5, 4.0)),
        objective=draw.choice(tuple(Objective)),
    )


def _nodes(draw: Random, ids: list[NodeId], layers: int) -> tuple[PlanNode, ...]:
    times = [_times(draw, layers) for _ in range(draw.randint(1, 3))]
    is_roomy = draw.random() < 0.4
    has_costs, has_machine = draw.random() < 0.3, draw.random() < 0.25
    return tuple(
        PlanNode(
            node_id=node_id,
            layer_s=draw.choice(times),
            stage_s=draw.choice((0.0, 0.125)),
            memory_bytes=1000 if is_roomy else draw.randint(4, 30),
            threads=draw.choice((1, 1, 2)),
            host_id=draw.choice(("", "box")) if has_machine else "",
            host_cores=draw.choice((0.5, 1, 2, 4)) if has_costs else 2.0,
            message_cpu_s=draw.choice((0, 0.125)) if has_costs else 0,
            byte_cpu_s=draw.choice((0, 0.03125)) if has_costs else 0,
        )
        for node_id in ids
    )


def _times(draw: Random, layers: int) -> tuple[float | None, ...]:
    """One kind of node in four cannot run every layer."""
    gaps = 0.3 if draw.random() < 0.25 else 0.0
    return tuple(None if draw.random() < gaps else draw.randint(0, 6) / 8 for _ in range(layers))


def _small(draw: Random, number: int, most: int) -> tuple[int, ...]:
    return tuple(draw.randint(0, most) for _ in range(number))


def _links(draw: Random, ids: list[NodeId]) -> dict[tuple[NodeId, NodeId], PlanLink]:
    speeds = [
        PlanLink(goodput_bytes_per_s=draw.choice((8, 64)), message_s=draw.choice((0.0, 0.125)))
        for _ in range(draw.randint(1, 3))
    ]
    density, ends = draw.choice((1.0, 1.0, 0.7)), [*ids, GATEWAY]
    return {
        (a, b): draw.choice(speeds)
        for a in ends
        for b in ends
        if a != b and draw.random() < density
    }


def _frames(draw: Random, layers: int) -> dict[str, Any]:
    if draw.random() > 0.4:
        return {}
    return {
        "receive_memory_bytes": _small(draw, layers + 1, 6),
        "send_memory_bytes": _small(draw, layers + 1, 6),
    }


def _limits(draw: Random) -> dict[str, Any]:
    least = draw.choice((1, 1, 1, 2, 3))
    return {
        "min_stages": least,
        "max_stages": draw.choice((None, None, least, least + 1)),
        "max_replicas": draw.choice((None, None, None, 1, 2)),
        "gateway_request_cpu_s": draw.choice((0.0, 0.0, 0.25)),
    }


def _rights(draw: Random, ids: list[NodeId], layers: int) -> dict[str, Any]:
    rights: dict[str, Any] = {}
    if draw.random() < 0.15:
        rights["required"] = frozenset(draw.sample(ids, 1))
    if draw.random() < 0.2:
        rights["private_layers"] = draw.randint(0, layers)
        rights["private_nodes"] = frozenset(draw.sample(ids, draw.randint(0, len(ids))))
    return rights


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of a problem too large to try everything; nodes of a kind are equal."""

    kinds: int
    per_kind: int
    layers: int


def medium_problem(seed: int, size: Size) -> Problem:
    """Awkward decimals; unlike links in every second one, tight memory in every third."""
    draw = Random(seed)
    base_s = [draw.uniform(0.2e-3, 4e-3) for _ in range(size.layers)]
    nodes = tuple(node for kind in range(size.kinds) for node in _kind(draw, kind, size, base_s))
    ends = [*(node.node_id for node in nodes), GATEWAY]
    speeds = (20e6, 50e6, 90e6) if seed % 2 else (50e6,)
    goodput = {pair: draw.choice(speeds) for pair in ((a, b) for a in ends for b in ends)}
    return Problem(
        nodes=nodes,
        layer_memory_bytes=tuple(draw.randint(500_000, 1_500_000) for _ in base_s),
        boundary_bytes=tuple(draw.choice((20_000, 200_000)) for _ in range(size.layers + 1)),
        links={
            (a, b): PlanLink(goodput_bytes_per_s=speed, message_s=0.8e-3)
            for (a, b), speed in goodput.items()
            if a != b
        },
        gateway=GATEWAY,
        stage_memory_bytes=1_000_000,
    )


def _kind(draw: Random, kind: int, size: Size, base_s: list[float]) -> list[PlanNode]:
    speed = draw.uniform(0.7, 4.0)
    layer_s = tuple(one * speed * draw.uniform(0.8, 1.25) for one in base_s)
    memory_bytes = round(size.layers * 1e6 * draw.choice((2.0, 2.0, 0.5)))
    return [
        PlanNode(
            node_id=NodeId(f"{kind:02}-{index:02}"),
            layer_s=layer_s,
            stage_s=0.3e-3,
            memory_bytes=memory_bytes,
        )
        for index in range(size.per_kind)
    ]
