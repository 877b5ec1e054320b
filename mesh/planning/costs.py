"""The cost model, in one place: what a stage takes and what a transfer takes, in exact ticks."""

from collections.abc import Sequence

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning.problem import PlanNode, Problem
from mesh.planning.ticks import NEVER, to_ticks


def compute_ticks(node: PlanNode, layers: LayerRange) -> int:
    """NEVER where it cannot run one of the layers."""
    if node.last_gap(layers) is not None:
        return NEVER
    return to_ticks(node.stage_s) + sum(map(to_ticks, node.times_s[layers.start : layers.stop]))


def memory_ticks(problem: Problem, layers: LayerRange) -> int:
    """Bytes, as ticks: see `Problem`."""
    held = sum(map(to_ticks, problem.layer_memory_bytes[layers.start : layers.stop]))
    frames = at(problem.receive_memory_bytes, layers.start) + at(
        problem.send_memory_bytes, layers.stop
    )
    return to_ticks(problem.stage_memory_bytes) + held + frames


def at(memory_bytes: Sequence[float], boundary: int) -> int:
    """The frames held at a boundary, as ticks."""
    return to_ticks(memory_bytes[boundary]) if memory_bytes else 0


def transfer_ticks(
    problem: Problem, sender: NodeId | None, receiver: NodeId | None, boundary: int
) -> int:
    """From one to another; None is the free gateway. NEVER where there is no link."""
    if sender is None or receiver is None or sender == receiver:
        return 0
    link = problem.links.get((sender, receiver))
    if link is None:
        return NEVER
    return to_ticks(link.transfer_s(problem.boundary_bytes[boundary]))
