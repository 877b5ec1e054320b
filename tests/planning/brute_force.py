"""The best plan by trying every one, with its figures straight from their definitions: shares no code."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mesh.ids import NodeId
from mesh.planning import Objective, PlanNode, Problem

Group: TypeAlias = tuple[NodeId, ...]
Plan: TypeAlias = Sequence[tuple[Group, int, int]]
"""(nodes, start, stop) of each stage."""

EQUAL = 1 + 1e-12
NOTHING_S = 1e-12
"""What a pace of nothing counts as where several nodes share requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    period_s: float
    latency_s: float

    def by(self, objective: Objective) -> tuple[float, float]:
        both = (self.period_s, self.latency_s)
        return both if objective is Objective.THROUGHPUT else both[::-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replica:
    compute_s: float
    in_s: float
    out_s: float
    pace_s: float

    @property
    def rate(self) -> float:
        return 1 / max(self.pace_s, NOTHING_S)


def best_figures(problem: Problem) -> Figures | None:
    """Of all plans that keep every constraint."""
    best: Figures | None = None
    for plan in every_plan(problem):
        found = figures(problem, plan)
        if found is None or found.latency_s > problem.latency_bound_s * EQUAL:
            continue
        if best is None or _is_before(found.by(problem.objective), best.by(problem.objective)):
            best = found
    return best


def _is_before(one: tuple[float, float], other: tuple[float, float]) -> bool:
    if one[0] * EQUAL < other[0]:
        return True
    return one[0] <= other[0] * EQUAL and one[1] * EQUAL < other[1]


def every_plan(problem: Problem) -> Iterator[Plan]:
    """Every order of every grouping of every subset of nodes, with every choice of cuts."""
    ids = tuple(node.node_id for node in problem.nodes)
    for groups in _groupings(ids, problem.max_replicas or len(ids)):
        stages = len(groups)
        if not problem.min_stages <= stages <= (problem.max_stages or problem.layers):
            continue
        if not problem.required <= set(itertools.chain(*groups)):
            continue
        for cuts in itertools.combinations(range(1, problem.layers), stages - 1):
            ends = (*cuts, problem.layers)
            yield list(zip(groups, (0, *cuts), ends, strict=True))


def _groupings(ids: Group, most: int) -> Iterator[tuple[Group, ...]]:
    """Some of the nodes, or none, as disjoint groups in order."""
    yield ()
    for size in range(1, min(len(ids), most) + 1):
        for group in itertools.combinations(ids, size):
            others = tuple(one for one in ids if one not in group)
            for following in _groupings(others, most):
                yield (group, *following)


def figures(problem: Problem, plan: Plan) -> Figures | None:
    """None where a node may not or cannot run its stage, or a link is missing."""
    replicas = [
        {one: replica_of(problem, plan, stage, one) for one in group}
        for stage, (group, _, _) in enumerate(plan)
    ]
    stages = [{one: it for one, it in stage.items() if it is not None} for stage in replicas]
    if any(len(able) < len(stage) for able, stage in zip(stages, replicas, strict=True)):
        return None
    exit_s = max(it.out_s for it in stages[-1].values())
    periods = [_period_s(list(stage.values())) for stage in stages]
    entry_s, mean_exit_s = _mean_s(stages[0], "in_s"), _mean_s(stages[-1], "out_s")
    parts_s = [
        max(it.compute_s for it in stage.values()) + max(it.in_s for it in stage.values())
        for stage in stages
    ]
    return Figures(
        period_s=max(*periods, entry_s, mean_exit_s, *_machines_s(problem, plan, stages)),
        latency_s=sum(parts_s) + exit_s,
    )


def _mean_s(stage: dict[NodeId, _Replica], what: Literal["in_s", "out_s"]) -> float:
    """What the gateway's own link carries for one request: each replica its share of them."""
    rate = sum(it.rate for it in stage.values())
    return sum(it.rate / rate * float(getattr(it, what)) for it in stage.values())


def _period_s(replicas: list[_Replica]) -> float:
    """The harmonic sum: each takes requests at its own pace."""
    if len(replicas) == 1:
        return replicas[0].pace_s
    return 1 / sum(it.rate for it in replicas)


def replica_of(problem: Problem, plan: Plan, stage: int, me: NodeId) -> _Replica | None:
    _, start, stop = plan[stage]
    node = next(node for node in problem.nodes if node.node_id == me)
    times = [seconds for seconds in node.layer_s[start:stop] if seconds is not None]
    is_private = start < problem.private_layers and me not in problem.private_nodes
    if len(times) < stop - start or is_private or _memory(problem, start, stop) > node.memory_bytes:
        return None
    before = plan[stage - 1][0] if stage else (problem.gateway,)
    after = plan[stage + 1][0] if stage + 1 < len(plan) else (problem.gateway,)
    compute_s = node.stage_s + sum(times)
    in_s = max(hop_s(problem, peer, me, start) for peer in before)
    out_s = max(hop_s(problem, me, peer, stop) for peer in after)
    if math.inf in (in_s, out_s):
        return None
    received = max(_message_s(problem, node, peer, start) for peer in before)
    sent = max(_message_s(problem, node, peer, stop) for peer in after)
    processor_s = (node.threads * compute_s + received + sent) / node.host_cores
    pace_s = max(compute_s, in_s, out_s, processor_s)
    return _Replica(compute_s=compute_s, in_s=in_s, out_s=out_s, pace_s=pace_s)


def _memory(problem: Problem, start: int, stop: int) -> float:
    received = problem.receive_memory_bytes[start] if problem.receive_memory_bytes else 0
    sent = problem.send_memory_bytes[stop] if problem.send_memory_bytes else 0
    return (
        problem.stage_memory_bytes + sum(problem.layer_memory_bytes[start:stop]) + received + sent
    )


def hop_s(problem: Problem, sender: NodeId | None, receiver: NodeId | None, boundary: int) -> float:
    if sender is None or receiver is None or sender == receiver:
        return 0.0
    link = problem.links.get((sender, receiver))
    if link is None:
        return math.inf
    return link.message_s + problem.boundary_bytes[boundary] / link.goodput_bytes_per_s


def _message_s(problem: Problem, node: PlanNode, peer: NodeId | None, boundary: int) -> float:
    if peer in (None, node.node_id):
        return 0.0
    return node.message_cpu_s + node.byte_cpu_s * problem.boundary_bytes[boundary]


def _machines_s(
    problem: Problem, plan: Plan, stages: Sequence[Mapping[NodeId, _Replica]]
) -> list[float]:
    """Core-seconds of one request on every machine that several or the gateway share, over its cores."""
    nodes = {node.node_id: node for node in problem.nodes}
    users = [one for group, _, _ in plan for one in group]
    if problem.gateway in nodes:
        users.append(problem.gateway)
    machines: dict[str, list[NodeId]] = {}
    for one in users:
        if nodes[one].host_id:
            machines.setdefault(nodes[one].host_id, []).append(one)
    return [
        _core_s(problem, plan, stages, set(members)) / max(nodes[one].host_cores for one in members)
        for members in machines.values()
        if len(members) > 1 or (problem.gateway in members and problem.gateway_request_cpu_s > 0)
    ]


def _core_s(
    problem: Problem, plan: Plan, stages: Sequence[Mapping[NodeId, _Replica]], here: set[NodeId]
) -> float:
    nodes = {node.node_id: node for node in problem.nodes}
    shares = [_shares(stage) for stage in stages]
    work = sum(
        share * nodes[one].threads * stage[one].compute_s
        for stage, by_node in zip(stages, shares, strict=True)
        for one, share in by_node.items()
        if one in here
    )
    gateway = {} if problem.gateway is None else {problem.gateway: 1.0}
    work += problem.gateway_request_cpu_s if problem.gateway in here else 0.0
    boundaries = [0, *(stop for _, _, stop in plan)]
    chain = itertools.pairwise([gateway, *shares, gateway])
    for boundary, (senders, receivers) in zip(boundaries, chain, strict=True):
        for (a, sent), (b, received) in itertools.product(senders.items(), receivers.items()):
            work += sent * received * _hand_over_s(problem, nodes, here, (a, b, boundary))
    return work


def _shares(stage: Mapping[NodeId, _Replica]) -> dict[NodeId, float]:
    total = sum(it.rate for it in stage.values())
    return {one: it.rate / total for one, it in stage.items()}


def _hand_over_s(
    problem: Problem,
    nodes: Mapping[NodeId, PlanNode],
    here: set[NodeId],
    hand_over: tuple[NodeId, NodeId, int],
) -> float:
    """What both ends that are on the machine pay; the transfer's time where neither's cost is known."""
    a, b, boundary = hand_over
    paid = sum(
        _message_s(problem, nodes[end], peer, boundary)
        for end, peer in ((a, b), (b, a))
        if end in here
    )
    if {a, b} <= here and paid == 0:
        return hop_s(problem, a, b, boundary)
    return paid
