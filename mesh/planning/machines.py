"""What nodes on one machine take of its cores together, the gateway's own messages included."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mesh.ids import NodeId
from mesh.planning.costs import message_core_s, transfer_s
from mesh.planning.problem import PlanNode, Problem
from mesh.planning.solution import Bottleneck, BottleneckKind, PlannedStage

SHARED_MACHINE = "several stages share one machine, whose cores set the pace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that one request occupies for a while."""

    seconds: float
    bottleneck: Bottleneck


_Shares = Mapping[NodeId, float]
"""The requests' shares of one stage's nodes; the gateway has all of them."""
_HandOver = tuple[int, _Shares, _Shares]
"""Boundary, senders, receivers."""


def shared_machines(
    problem: Problem, nodes: Mapping[NodeId, PlanNode], stages: Sequence[PlannedStage]
) -> list[Part]:
    """One part for each machine of several stage nodes, of one beside the gateway, or of the gateway.

    Σ share · (compute · threads + messages) ÷ cores. Where a sender's cost of messages is not
    known, a transfer that stays within the machine is work of its cores: nothing else carries it.
    """
    gateway = nodes.get(problem.gateway) if problem.gateway is not None else None
    users = [nodes[one.node_id] for stage in stages for one in stage.replicas]
    parties: defaultdict[str, list[PlanNode]] = defaultdict(list)
    for node in users if gateway is None else [*users, gateway]:
        if node.host_id:
            parties[node.host_id].append(node)
    return [
        _machine(problem, nodes, stages, members)
        for _, members in sorted(parties.items())
        if len(members) > 1 or (gateway in members and problem.gateway_request_cpu_s > 0)
    ]


def _machine(
    problem: Problem,
    nodes: Mapping[NodeId, PlanNode],
    stages: Sequence[PlannedStage],
    members: Sequence[PlanNode],
) -> Part:
    ids = tuple(dict.fromkeys(node.node_id for node in members))
    core_s = [
        one.share * one.compute_s * nodes[one.node_id].threads
        for stage in stages
        for one in stage.replicas
        if one.node_id in ids
    ]
    if problem.gateway in ids:
        core_s.append(problem.gateway_request_cpu_s)
    for hand_over in _hand_overs(problem, stages):
        core_s += _messages(problem, nodes, set(ids), hand_over)
    return Part(
        seconds=math.fsum(core_s) / max(node.host_cores for node in members),
        bottleneck=Bottleneck(kind=BottleneckKind.MACHINE, node_ids=ids),
    )


def _hand_overs(problem: Problem, stages: Sequence[PlannedStage]) -> list[_HandOver]:
    gateway: _Shares = {} if problem.gateway is None else {problem.gateway: 1.0}
    shares = [gateway, *({r.node_id: r.share for r in stage.replicas} for stage in stages), gateway]
    boundaries = [0, *(stage.layers.stop for stage in stages)]
    return [
        (boundary, before, after)
        for boundary, (before, after) in zip(boundaries, pairwise(shares), strict=True)
    ]


def _messages(
    problem: Problem,
    nodes: Mapping[NodeId, PlanNode],
    here: set[NodeId],
    hand_over: _HandOver,
) -> list[float]:
    """What the machine's cores do for one hand-over, sender by sender and receiver by receiver."""
    boundary, senders, receivers = hand_over
    core_s = []
    for sender, sent in senders.items():
        for receiver, received in receivers.items():
            ends = [
                (end, peer) for end, peer in ((sender, receiver), (receiver, sender)) if end in here
            ]
            known = [
                message_core_s(problem, nodes[end], peer, boundary)
                for end, peer in ends
                if end in nodes
            ]
            if len(ends) == 2 and not any(known):
                known = [transfer_s(problem, sender, receiver, boundary)]
            core_s += [sent * received * seconds for seconds in known]
    return core_s
