"""Every figure of a plan, whoever made it: period, latency, memory, bottleneck. Chooses nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from mesh.errors import InfeasibleError, UsageError
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import wording
from mesh.planning.costs import compute_ticks, memory_ticks, transfer_ticks
from mesh.planning.problem import PlanNode, Problem
from mesh.planning.solution import Bottleneck, BottleneckKind, PlannedStage, Solution
from mesh.planning.ticks import NEVER, to_float, to_ticks

Assignment = Sequence[tuple[NodeId, LayerRange]]
"""Who runs which layers, in the order of the pipeline."""

SHARED_MACHINE = "several stages share one machine, whose cores set the pace"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Something of the pipeline that one request occupies for a while."""

    ticks: int
    bottleneck: Bottleneck


def evaluate(problem: Problem, assignment: Assignment) -> Solution:
    """The figures of a plan, whether or not it keeps the latency bound and the number of stages.

    Raises: UsageError when the stages do not cover the layers in order on different known nodes,
    InfeasibleError when a node cannot run its stage, a stage does not fit or there is no link.
    """
    nodes = _checked_nodes(problem, assignment)
    computes = [_compute(node, layers) for node, (_, layers) in zip(nodes, assignment, strict=True)]
    transfers = _transfers(problem, assignment)
    machines = _shared_machines(problem, nodes, computes, transfers)
    slowest = max([*_in_order(transfers, computes), *machines], key=lambda part: part.ticks)
    return Solution(
        stages=tuple(
            PlannedStage(
                node_id=node_id,
                layers=layers,
                compute_s=to_float(compute.ticks),
                transfer_s=to_float(transfer.ticks),
                memory_bytes=ceil(to_float(memory_ticks(problem, layers))),
            )
            for (node_id, layers), compute, transfer in zip(
                assignment, computes, transfers, strict=False
            )
        ),
        exit_s=to_float(transfers[-1].ticks),
        bottleneck_s=to_float(slowest.ticks),
        latency_s=to_float(sum(part.ticks for part in [*computes, *transfers])),
        bottleneck=slowest.bottleneck,
        notes=(SHARED_MACHINE,) if slowest in machines else (),
    )


def _checked_nodes(problem: Problem, assignment: Assignment) -> list[PlanNode]:
    reached = 0
    for _, layers in assignment:
        if layers.start != reached:
            raise UsageError(f"the stages of a plan must follow each other: layer {reached} next")
        reached = layers.stop
    if reached != problem.layers:
        raise UsageError(f"the stages of a plan must end with layer {problem.layers - 1}")
    if len({node_id for node_id, _ in assignment}) < len(assignment):
        raise UsageError("a node serves at most one stage of a plan")
    known = {node.node_id: node for node in problem.nodes}
    missing = [node_id for node_id, _ in assignment if node_id not in known]
    if missing:
        raise UsageError(f"node {missing[0]} of the plan is not part of the problem")
    nodes = [known[node_id] for node_id, _ in assignment]
    for node, (_, layers) in zip(nodes, assignment, strict=True):
        _require_able(problem, node, layers)
        _require_memory(problem, node, layers)
    return nodes


def _require_able(problem: Problem, node: PlanNode, layers: LayerRange) -> None:
    gap = node.last_gap(layers)
    if gap is not None:
        raise InfeasibleError(
            f"{problem.label(node.node_id)} cannot run layer {gap}"
            f"{f' ({node.unable})' if node.unable else ''}: give it layers without that one"
        )


def _require_memory(problem: Problem, node: PlanNode, layers: LayerRange) -> None:
    missing = to_float(memory_ticks(problem, layers) - to_ticks(node.memory_bytes))
    if missing > 0:
        raise InfeasibleError(
            f"{problem.label(node.node_id)} lacks {wording.exact_size(ceil(missing))} of memory for "
            f"layers {layers}: give it fewer layers"
        )


def _compute(node: PlanNode, layers: LayerRange) -> _Part:
    bottleneck = Bottleneck(kind=BottleneckKind.COMPUTE, node_ids=(node.node_id,))
    return _Part(ticks=compute_ticks(node, layers), bottleneck=bottleneck)


def _transfers(problem: Problem, assignment: Assignment) -> list[_Part]:
    """One more than there are stages: in, between, out."""
    path = [problem.gateway, *(node_id for node_id, _ in assignment), problem.gateway]
    boundaries = [0, *(layers.stop for _, layers in assignment)]
    return [
        _transfer(problem, sender, receiver, boundary)
        for sender, receiver, boundary in zip(path, path[1:], boundaries, strict=False)
    ]


def _transfer(
    problem: Problem, sender: NodeId | None, receiver: NodeId | None, boundary: int
) -> _Part:
    ticks = transfer_ticks(problem, sender, receiver, boundary)
    if ticks >= NEVER:
        raise InfeasibleError(
            f"there is no link from {problem.label(sender)} to {problem.label(receiver)}: "
            "connect them or plan without this pair"
        )
    ends = tuple(node_id for node_id in (sender, receiver) if node_id is not None)
    return _Part(ticks=ticks, bottleneck=Bottleneck(kind=BottleneckKind.TRANSFER, node_ids=ends))


def _in_order(transfers: Sequence[_Part], computes: Sequence[_Part]) -> list[_Part]:
    """Computes first, so that they are named among equals; each in the order of the pipeline."""
    return [*computes, *transfers]


def _shared_machines(
    problem: Problem,
    nodes: Sequence[PlanNode],
    computes: Sequence[_Part],
    transfers: Sequence[_Part],
) -> list[_Part]:
    """What stages on one machine take together: (Σ compute × threads + Σ transfers within) ÷ cores.

    A transfer that stays within a machine is work of its cores: nothing else carries it.
    """
    by_host: defaultdict[str, list[tuple[PlanNode, _Part]]] = defaultdict(list)
    for node, compute in zip(nodes, computes, strict=True):
        if node.host_id:
            by_host[node.host_id].append((node, compute))
    hosts = {node.node_id: node.host_id for node in problem.nodes}
    return [
        _machine(residents, [part for part in transfers if _stays_at(part, host_id, hosts)])
        for host_id, residents in by_host.items()
        if len(residents) > 1
    ]


def _stays_at(transfer: _Part, host_id: str, hosts: Mapping[NodeId, str]) -> bool:
    ends = transfer.bottleneck.node_ids
    return len(ends) > 1 and all(hosts.get(node_id) == host_id for node_id in ends)


def _machine(residents: Sequence[tuple[PlanNode, _Part]], transfers: Sequence[_Part]) -> _Part:
    core_ticks = sum(compute.ticks * node.threads for node, compute in residents)
    core_ticks += sum(transfer.ticks for transfer in transfers)
    cores = max(node.host_cores for node, _ in residents)
    ids = tuple(node.node_id for node, _ in residents)
    return _Part(
        ticks=core_ticks // cores,
        bottleneck=Bottleneck(kind=BottleneckKind.MACHINE, node_ids=ids),
    )
