"""Nodes that any plan may swap without changing a figure, as kinds; nothing depends on their order."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mesh.ids import NodeId
from mesh.planning.problem import PlanNode, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Interchangeable nodes by id; `machine` is what they share with others, empty = nothing."""

    nodes: tuple[PlanNode, ...]
    machine: str

    @property
    def first(self) -> PlanNode:
        return self.nodes[0]

    def __len__(self) -> int:
        return len(self.nodes)


def kinds_of(problem: Problem) -> tuple[Kind, ...]:
    """All nodes, each in one kind; kinds go by their first node's id.

    Swapping two nodes is a symmetry or not, and that is transitive: one of a kind stands for it.
    """
    machines = _shared_machines(problem)
    groups: list[list[PlanNode]] = []
    for node in sorted(problem.nodes, key=lambda node: node.node_id):
        for group in groups:
            if _may_swap(problem, machines, group[0], node):
                group.append(node)
                break
        else:
            groups.append([node])
    return tuple(
        Kind(nodes=tuple(group), machine=machines.get(group[0].node_id, "")) for group in groups
    )


def _shared_machines(problem: Problem) -> dict[NodeId, str]:
    """The machines of several nodes, or of one that is the gateway."""
    residents = Counter(node.host_id for node in problem.nodes if node.host_id)
    return {
        node.node_id: node.host_id
        for node in problem.nodes
        if node.host_id and (residents[node.host_id] > 1 or node.node_id == problem.gateway)
    }


def _may_swap(
    problem: Problem, machines: dict[NodeId, str], one: PlanNode, other: PlanNode
) -> bool:
    if _traits(problem, machines, one) != _traits(problem, machines, other):
        return False
    a, b, links = one.node_id, other.node_id, problem.links
    if problem.gateway in {a, b} or links.get((a, b)) != links.get((b, a)):
        return False
    return all(
        links.get((a, c)) == links.get((b, c)) and links.get((c, a)) == links.get((c, b))
        for c in _others(problem, a, b)
    )


def _traits(problem: Problem, machines: dict[NodeId, str], node: PlanNode) -> Sequence[object]:
    return (
        *(node.layer_s, node.stage_s, node.memory_bytes, node.threads, node.host_cores),
        *(node.message_cpu_s, node.byte_cpu_s, machines.get(node.node_id)),
        *(node.node_id in problem.required, node.node_id in problem.private_nodes),
    )


def _others(problem: Problem, a: NodeId, b: NodeId) -> list[NodeId]:
    ends = {node.node_id for node in problem.nodes} - {a, b}
    return [*ends, *(() if problem.gateway is None else (problem.gateway,))]
