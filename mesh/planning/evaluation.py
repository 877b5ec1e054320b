"""Every figure of a plan, whoever made it: period, latency, shares, memory, bottleneck. Chooses nothing.

A node's pace is the longest of its compute, its slowest way in and way out, and its processor's work
per request; the nodes of a stage take turns in proportion to their paces, so that the stage's period
is 1 / Σ (1 / pace). The gateway's own way in and out carries every request.
"""

import math
from collections.abc import Mapping, Sequence
from math import ceil

from mesh.errors import InfeasibleError, UsageError
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import wording
from mesh.planning.costs import (
    MEMORY_SLACK_BYTES,
    compute_s,
    memory_bytes,
    message_core_s,
    transfer_s,
)
from mesh.planning.machines import SHARED_MACHINE, Part, shared_machines
from mesh.planning.problem import PlanNode, Problem
from mesh.planning.solution import (
    Bottleneck,
    BottleneckKind,
    PlannedReplica,
    PlannedStage,
    Solution,
)

Assignment = Sequence[tuple[tuple[NodeId, ...], LayerRange]]
"""Which nodes run which layers, in the order of the pipeline."""

SHORTEST_S = 1e-12
"""A pace of nothing counts as this where several nodes share the requests."""

_Group = tuple[NodeId | None, ...]


def evaluate(problem: Problem, assignment: Assignment) -> Solution:
    """The figures of a plan, whether or not it keeps the bounds on latency, stages and replicas.

    Raises: UsageError when the stages do not cover the layers in order on different known nodes,
    InfeasibleError when a node may not or cannot run its stage, a stage does not fit or a link is
    missing.
    """
    nodes = {node.node_id: node for node in problem.nodes}
    _check(problem, nodes, assignment)
    groups: list[_Group] = [
        (problem.gateway,),
        *(tuple(sorted(ids)) for ids, _ in assignment),
        (problem.gateway,),
    ]
    stages = tuple(
        _stage(problem, nodes, layers, (before, ids, after))
        for (_, layers), before, ids, after in zip(
            assignment, groups, groups[1:], groups[2:], strict=False
        )
    )
    parts = [
        *(_slowest_of(*three) for three in zip(stages, groups, groups[2:], strict=False)),
        *_gateway_parts(problem, stages),
    ]
    machines = shared_machines(problem, nodes, stages)
    slowest = max([*parts, *machines], key=lambda part: part.seconds)
    exit_s = max(replica.send_s for replica in stages[-1].replicas)
    return Solution(
        stages=stages,
        exit_s=exit_s,
        bottleneck_s=slowest.seconds,
        latency_s=math.fsum(
            (
                *(second for stage in stages for second in (stage.compute_s, stage.transfer_s)),
                exit_s,
            )
        ),
        bottleneck=slowest.bottleneck,
        notes=(SHARED_MACHINE,)
        if slowest in machines and len(slowest.bottleneck.node_ids) > 1
        else (),
    )


def _stage(
    problem: Problem,
    nodes: Mapping[NodeId, PlanNode],
    layers: LayerRange,
    groups: tuple[_Group, _Group, _Group],
) -> PlannedStage:
    before, ids, after = groups
    paces = [
        _pace(problem, nodes[node_id], layers, before, after)
        for node_id in ids
        if node_id is not None
    ]
    rates = [1 / max(pace.pace_s, SHORTEST_S) for pace in paces]
    total = math.fsum(rates)
    return PlannedStage(
        layers=layers,
        replicas=tuple(
            PlannedReplica(
                node_id=one.node_id,
                share=rate / total,
                compute_s=one.compute_s,
                receive_s=one.receive_s,
                send_s=one.send_s,
                pace_s=one.pace_s,
                memory_bytes=one.memory_bytes,
            )
            for one, rate in zip(paces, rates, strict=True)
        ),
        period_s=paces[0].pace_s if len(paces) == 1 else 1 / total,
    )


def _pace(
    problem: Problem, node: PlanNode, layers: LayerRange, before: _Group, after: _Group
) -> PlannedReplica:
    """The node's figures; its share is not known yet."""
    me, alone_s = node.node_id, compute_s(node, layers)
    receive_s = max(_linked_s(problem, peer, me, layers.start) for peer in before)
    send_s = max(_linked_s(problem, me, peer, layers.stop) for peer in after)
    core_s = (
        node.threads * alone_s
        + max(message_core_s(problem, node, peer, layers.start) for peer in before)
        + max(message_core_s(problem, node, peer, layers.stop) for peer in after)
    )
    return PlannedReplica(
        node_id=me,
        share=1.0,
        compute_s=alone_s,
        receive_s=receive_s,
        send_s=send_s,
        pace_s=max(alone_s, receive_s, send_s, core_s / node.host_cores),
        memory_bytes=ceil(memory_bytes(problem, layers)),
    )


def _linked_s(
    problem: Problem, sender: NodeId | None, receiver: NodeId | None, boundary: int
) -> float:
    seconds = transfer_s(problem, sender, receiver, boundary)
    if seconds == math.inf:
        raise InfeasibleError(
            f"there is no link from {problem.label(sender)} to {problem.label(receiver)}: "
            "connect them or plan without this pair"
        )
    return seconds


def _slowest_of(stage: PlannedStage, before: _Group, after: _Group) -> Part:
    """What sets a stage's period: told of the node with the largest share; compute among equals."""
    widest = max(stage.replicas, key=lambda replica: replica.share)
    ids = stage.node_ids
    if widest.pace_s == widest.compute_s:
        bottleneck = Bottleneck(kind=BottleneckKind.COMPUTE, node_ids=ids)
    elif widest.pace_s == widest.receive_s:
        bottleneck = _transfer(before, ids)
    elif widest.pace_s == widest.send_s:
        bottleneck = _transfer(ids, after)
    else:
        bottleneck = Bottleneck(kind=BottleneckKind.PROCESSOR, node_ids=ids)
    return Part(seconds=stage.period_s, bottleneck=bottleneck)


def _gateway_parts(problem: Problem, stages: Sequence[PlannedStage]) -> list[Part]:
    """The gateway's own ways in and out: what all requests take there, each node its share."""
    gateway: _Group = (problem.gateway,)
    first, last = stages[0], stages[-1]
    return [
        Part(
            seconds=math.fsum(one.share * one.receive_s for one in first.replicas),
            bottleneck=_transfer(gateway, first.node_ids),
        ),
        Part(
            seconds=math.fsum(one.share * one.send_s for one in last.replicas),
            bottleneck=_transfer(last.node_ids, gateway),
        ),
    ]


def _transfer(senders: _Group, receivers: _Group) -> Bottleneck:
    return Bottleneck(
        kind=BottleneckKind.TRANSFER,
        node_ids=tuple(one for one in senders if one is not None),
        receiver_ids=tuple(one for one in receivers if one is not None),
    )


def _check(problem: Problem, nodes: Mapping[NodeId, PlanNode], assignment: Assignment) -> None:
    reached = 0
    for ids, layers in assignment:
        if layers.start != reached:
            raise UsageError(f"the stages of a plan must follow each other: layer {reached} next")
        if not ids:
            raise UsageError(f"no node is given for layers {layers}")
        reached = layers.stop
    if reached != problem.layers:
        raise UsageError(f"the stages of a plan must end with layer {problem.layers - 1}")
    used = [node_id for ids, _ in assignment for node_id in ids]
    if len(set(used)) < len(used):
        raise UsageError("a node serves at most one stage of a plan")
    missing = [node_id for node_id in used if node_id not in nodes]
    if missing:
        raise UsageError(f"node {missing[0]} of the plan is not part of the problem")
    for ids, layers in assignment:
        for node_id in ids:
            _require_able(problem, nodes[node_id], layers)
            _require_memory(problem, nodes[node_id], layers)


def _require_able(problem: Problem, node: PlanNode, layers: LayerRange) -> None:
    name, gap = problem.label(node.node_id), node.last_gap(layers)
    if gap is not None:
        raise InfeasibleError(
            f"{name} cannot run layer {gap}{f' ({node.unable})' if node.unable else ''}: "
            "give it layers without that one"
        )
    if problem.is_private_to_others(node.node_id, layers):
        raise InfeasibleError(
            f"{name} may not run the first {problem.private_layers} layers, which are private: "
            "give it later ones"
        )


def _require_memory(problem: Problem, node: PlanNode, layers: LayerRange) -> None:
    missing = memory_bytes(problem, layers) - node.memory_bytes
    if missing > MEMORY_SLACK_BYTES:
        raise InfeasibleError(
            f"{problem.label(node.node_id)} lacks {wording.exact_size(ceil(missing))} of memory for "
            f"layers {layers}: give it fewer layers"
        )
