"""The cost model, in one place: what a stage and a transfer take, in seconds, core-seconds and bytes."""

import math

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning.problem import PlanNode, Problem

MEMORY_SLACK_BYTES = 1e-3
"""Sums of fractions of bytes differ by less with the order of adding."""


def compute_s(node: PlanNode, layers: LayerRange) -> float:
    """Infinite where it cannot run one of the layers."""
    if node.last_gap(layers) is not None:
        return math.inf
    return math.fsum((node.stage_s, *node.times_s[layers.start : layers.stop]))


def memory_bytes(problem: Problem, layers: LayerRange) -> float:
    """See `Problem`."""
    return math.fsum(
        (
            problem.stage_memory_bytes,
            *problem.layer_memory_bytes[layers.start : layers.stop],
            *problem.receive_memory_bytes[layers.start : layers.start + 1],
            *problem.send_memory_bytes[layers.stop : layers.stop + 1],
        )
    )


def transfer_s(
    problem: Problem, sender: NodeId | None, receiver: NodeId | None, boundary: int
) -> float:
    """From one to another; None is the free gateway. Infinite where there is no link."""
    if sender is None or receiver is None or sender == receiver:
        return 0.0
    link = problem.links.get((sender, receiver))
    return math.inf if link is None else link.transfer_s(problem.boundary_bytes[boundary])


def message_core_s(problem: Problem, node: PlanNode, peer: NodeId | None, boundary: int) -> float:
    """What sending a frame to a peer, or receiving it, costs the node's processor."""
    if peer is None or peer == node.node_id:
        return 0.0
    return node.message_cpu_s + node.byte_cpu_s * problem.boundary_bytes[boundary]
