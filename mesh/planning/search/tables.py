"""A problem as arrays: what each kind of node takes for every range of layers, links at their best.

Arrays of a kind have the axes [start, stop], both from 0 to the number of layers. Where a node's
partners are not known yet, its fastest link stands for the one it will use: figures from here are
lower bounds, exact where all links are equal.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mesh.errors import UsageError
from mesh.ids import NodeId
from mesh.planning.costs import MEMORY_SLACK_BYTES, message_core_s
from mesh.planning.evaluation import SHORTEST_S
from mesh.planning.problem import PlanNode, Problem
from mesh.planning.search.kinds import Kind, kinds_of

Floats = NDArray[np.float64]

MOST_CELLS = 6_000_000
"""Kinds × ranges of layers in the tables: each takes 24 bytes."""
UNABLE = -1e18
"""The rate of a node that cannot run the layers: any sum with it is below 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindTable:
    """Seconds; infinite where the kind cannot run, fit, or reach. `rate` = 1 / pace, or UNABLE.

    `hops[q][boundary]` = to another node of kind q. `inward` and `outward` have one entry per
    boundary: the gateway's link at the ends, the best link to another node between them.
    """

    compute: Floats
    pace: Floats
    rate: Floats
    hops: tuple[Floats, ...]
    inward: Floats
    outward: Floats
    in_core_s: Floats
    out_core_s: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    problem: Problem
    kinds: tuple[Kind, ...]
    by_kind: tuple[KindTable, ...]

    @property
    def layers(self) -> int:
        return self.problem.layers

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(len(kind) for kind in self.kinds)


def build_tables(problem: Problem) -> Tables:
    """Raises: UsageError where the problem is too large."""
    kinds = kinds_of(problem)
    _check_size(problem, len(kinds))
    hops = [[_hops(problem, one, other) for other in kinds] for one in kinds]
    return Tables(
        problem=problem,
        kinds=kinds,
        by_kind=tuple(
            _kind_table(problem, kind.first, hops[k], [row[k] for row in hops])
            for k, kind in enumerate(kinds)
        ),
    )


def _check_size(problem: Problem, kinds: int) -> None:
    most = math.isqrt(MOST_CELLS // max(1, kinds)) - 1
    if problem.layers > most:
        raise UsageError(
            f"{problem.layers} layers on nodes of {kinds} kinds are too many to plan: "
            f"join layers until there are at most {most}"
        )


def _kind_table(
    problem: Problem, node: PlanNode, outgoing: list[Floats], incoming: list[Floats]
) -> KindTable:
    gateway, last = problem.gateway, problem.layers
    inward = np.minimum.reduce(incoming)
    inward[0] = _link(problem, gateway, node.node_id)[0]
    inward[last] = np.inf
    outward = np.minimum.reduce(outgoing)
    outward[last] = _link(problem, node.node_id, gateway)[last]
    outward[0] = np.inf
    in_core_s, out_core_s = _message_core_s(problem, node, 0), _message_core_s(problem, node, last)
    compute = _compute(problem, node)
    core_s = node.threads * compute + in_core_s[:, None] + out_core_s[None, :]
    pace = np.maximum.reduce(
        np.broadcast_arrays(compute, inward[:, None], outward[None, :], core_s / node.host_cores)
    )
    rate = np.where(np.isfinite(pace), 1.0 / np.maximum(pace, SHORTEST_S), UNABLE)
    return KindTable(
        compute=compute,
        pace=pace,
        rate=rate,
        hops=tuple(outgoing),
        inward=inward,
        outward=outward,
        in_core_s=in_core_s,
        out_core_s=out_core_s,
    )


def _message_core_s(problem: Problem, node: PlanNode, end: int) -> Floats:
    """By boundary; at `end` the peer is the gateway, which may be the node itself or nobody."""
    costs = node.message_cpu_s + node.byte_cpu_s * np.asarray(problem.boundary_bytes, np.float64)
    costs[end] = message_core_s(problem, node, problem.gateway, end)
    return costs


def _compute(problem: Problem, node: PlanNode) -> Floats:
    until = np.concatenate(([0.0], np.cumsum(node.times_s)))
    compute = node.stage_s + until[None, :] - until[:, None]
    starts = np.arange(problem.layers + 1)
    allowed = starts[:, None] < starts[None, :]
    gaps = np.asarray([second is None for second in node.layer_s])
    first_able = np.concatenate(
        ([0], np.maximum.accumulate(np.where(gaps, np.arange(1, problem.layers + 1), 0)))
    )
    allowed &= starts[:, None] >= first_able[None, :]
    if node.node_id not in problem.private_nodes:
        allowed &= starts[:, None] >= problem.private_layers
    allowed &= _memory(problem) <= node.memory_bytes + MEMORY_SLACK_BYTES / 2
    return np.where(allowed, compute, np.inf)


def _memory(problem: Problem) -> Floats:
    held = np.concatenate(([0.0], np.cumsum(problem.layer_memory_bytes)))
    none = np.zeros(problem.layers + 1)
    receive = np.asarray(problem.receive_memory_bytes or none, np.float64)
    send = np.asarray(problem.send_memory_bytes or none, np.float64)
    needed: Floats = held[None, :] - held[:, None] + receive[:, None] + send[None, :]
    return needed + problem.stage_memory_bytes


def _hops(problem: Problem, one: Kind, other: Kind) -> Floats:
    """By boundary, from a node of one kind to another node of the other."""
    if one is other and len(one) == 1:
        return np.full(problem.layers + 1, np.inf)
    return _link(problem, one.first.node_id, other.nodes[-1].node_id)


def _link(problem: Problem, sender: NodeId | None, receiver: NodeId | None) -> Floats:
    """By boundary; free where there is no way to go."""
    if sender is None or receiver is None or sender == receiver:
        return np.zeros(problem.layers + 1)
    link = problem.links.get((sender, receiver))
    if link is None:
        return np.full(problem.layers + 1, np.inf)
    sizes = np.asarray(problem.boundary_bytes, np.float64)
    return link.message_s + sizes / link.goodput_bytes_per_s
