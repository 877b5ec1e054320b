"""Which nodes can run some of the layers only, and what they lack; whether they have a stage is decided elsewhere."""

from dataclasses import dataclass

from mesh.ids import NodeId
from mesh.planning.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """A node that cannot run some layers, whether or not it has a stage, and what it lacks."""

    node_id: NodeId
    reason: str


def limited_nodes(problem: Problem) -> tuple[Limited, ...]:
    """The nodes that cannot run every layer, by id."""
    nodes = sorted(problem.nodes, key=lambda node: node.node_id)
    return tuple(
        Limited(node_id=node.node_id, reason=node.unable or "it cannot run every layer")
        for node in nodes
        if None in node.layer_s
    )
