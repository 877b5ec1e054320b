"""What could be bought, freed or allowed, as changed problems; how much each helps is found elsewhere."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from itertools import pairwise

from mesh.ids import NodeId
from mesh.planning import wording
from mesh.planning.costs import memory_bytes
from mesh.planning.problem import Objective, PlanLink, PlanNode, Problem
from mesh.planning.reasons import constraints
from mesh.planning.solution import Solution


class Kind(Enum):
    """Of each kind only the best is told; what costs nothing comes first among equals."""

    WISH = "wish"
    LATENCY_BOUND = "latency bound"
    MEMORY = "memory"
    LINK = "link"
    NODE_LINKS = "links of a node"
    ANOTHER_NODE = "another node"
    FASTER_NODE = "faster node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Improvement:
    """A changed problem; `sentence` names the change, given the plan that makes use of it.

    Empty: that plan needs no change.
    """

    kind: Kind
    problem: Problem
    sentence: Callable[[Solution], str]
    joins: NodeId | None = None
    """The node that is new."""


def improvements(problem: Problem, solution: Solution) -> tuple[Improvement, ...]:
    """All that may be worth trying, in a fixed order."""
    return (
        *_wishes(problem),
        *_memory(problem),
        *_links(problem, solution),
        *_node_links(problem),
        *_other_nodes(problem),
        *_faster_nodes(problem),
    )


def _wishes(problem: Problem) -> Iterator[Improvement]:
    def wish(sentence: str, changed: Problem) -> Improvement:
        return Improvement(kind=Kind.WISH, problem=changed, sentence=partial(_always, sentence))

    if problem.min_stages > 1:
        yield wish("no split asked for", replace(problem, min_stages=1))
    if problem.max_stages is not None:
        yield wish("any number of stages", replace(problem, max_stages=None))
    if problem.max_replicas is not None:
        yield wish("any number of nodes per stage", replace(problem, max_replicas=None))
    if problem.required:
        yield wish("no node required", replace(problem, required=frozenset()))
    if problem.private_layers:
        yield wish("no layers kept private", replace(problem, private_layers=0))
    if problem.latency_bound_s < math.inf and problem.objective is Objective.THROUGHPUT:
        yield Improvement(
            kind=Kind.LATENCY_BOUND,
            problem=replace(problem, latency_bound_s=math.inf),
            sentence=partial(_longer_bound, problem),
        )


def _always(sentence: str, _plan: Solution) -> str:
    return sentence


def _longer_bound(problem: Problem, plan: Solution) -> str:
    if plan.latency_s <= problem.latency_bound_s:
        return ""
    return f"a latency bound of {wording.duration_at_least(plan.latency_s)}"


def _memory(problem: Problem) -> Iterator[Improvement]:
    """As much as any plan could take: what the best one takes is what the sentence asks for."""
    ids, ample = constraints.node_ids(problem), constraints.ample_bytes(problem)
    poor = [node.node_id for node in _one_of_each(problem.nodes) if node.memory_bytes < ample]
    for whose in [(node_id,) for node_id in poor] + ([ids] if len(poor) > 1 else []):
        yield Improvement(
            kind=Kind.MEMORY,
            problem=constraints.with_more_memory(problem, frozenset(whose), ample),
            sentence=partial(_lacking, problem),
        )


def _lacking(problem: Problem, plan: Solution) -> str:
    rooms = {node.node_id: node.memory_bytes for node in problem.nodes}
    lacks = [
        (node_id, math.ceil(memory_bytes(problem, stage.layers) - rooms[node_id]))
        for stage in plan.stages
        for node_id in stage.node_ids
    ]
    return wording.listed(
        [
            f"{wording.exact_size(more)} more on {problem.label(node_id)}"
            for node_id, more in lacks
            if more > 0
        ],
        most=4,
    )


def _links(problem: Problem, solution: Solution) -> Iterator[Improvement]:
    """Each hand-over of the plan, all its links at once."""
    gateway = (problem.gateway,)
    groups = [gateway, *(stage.node_ids for stage in solution.stages), gateway]
    for senders, receivers in pairwise(groups):
        pairs = [
            (a, b)
            for a in senders
            for b in receivers
            if a is not None and b is not None and (a, b) in problem.links
        ]
        if pairs:
            names = [
                " and ".join(sorted({problem.label(one) for one in ends}))
                for ends in zip(*pairs, strict=True)
            ]
            yield _twice_as_fast(
                problem, pairs, Kind.LINK, f"a link twice as fast {' → '.join(names)}"
            )


def _node_links(problem: Problem) -> Iterator[Improvement]:
    for node_id in sorted({*constraints.node_ids(problem), *_outside(problem)}):
        pairs = [pair for pair in problem.links if node_id in pair]
        if pairs:
            sentence = f"all links of {problem.label(node_id)} twice as fast"
            yield _twice_as_fast(problem, pairs, Kind.NODE_LINKS, sentence)


def _outside(problem: Problem) -> tuple[NodeId, ...]:
    return () if problem.gateway is None else (problem.gateway,)


def _twice_as_fast(
    problem: Problem, pairs: Iterable[tuple[NodeId, NodeId]], kind: Kind, sentence: str
) -> Improvement:
    faster = {pair: _faster(problem.links[pair]) for pair in pairs}
    changed = replace(problem, links={**problem.links, **faster})
    return Improvement(kind=kind, problem=changed, sentence=partial(_always, sentence))


def _faster(link: PlanLink) -> PlanLink:
    return PlanLink(goodput_bytes_per_s=2 * link.goodput_bytes_per_s, message_s=link.message_s / 2)


def _other_nodes(problem: Problem) -> Iterator[Improvement]:
    for node in _one_of_each(problem.nodes):
        changed, new_id = _with_another(problem, node)
        sentence = f"another node like {problem.label(node.node_id)}"
        yield Improvement(
            kind=Kind.ANOTHER_NODE,
            problem=changed,
            sentence=partial(_always, sentence),
            joins=new_id,
        )


def _with_another(problem: Problem, node: PlanNode) -> tuple[Problem, NodeId]:
    """A node of its own machine, linked as this one; to this one by the slowest link that it has."""
    taken = {*constraints.node_ids(problem), problem.gateway}
    new_id = next(
        name
        for count in range(2, len(taken) + 3)
        if (name := NodeId(f"{node.node_id} ({count})")) not in taken
    )
    links = dict(problem.links)
    for (a, b), link in problem.links.items():
        if a == node.node_id:
            links[new_id, b] = link
        if b == node.node_id:
            links[a, new_id] = link
    for mine, pair in ((0, (node.node_id, new_id)), (1, (new_id, node.node_id))):
        own = [link for ends, link in problem.links.items() if ends[mine] == node.node_id]
        if own:
            links[pair] = max(own, key=lambda link: link.transfer_s(max(problem.boundary_bytes)))
    is_private = node.node_id in problem.private_nodes
    changed = replace(
        problem,
        nodes=(*problem.nodes, replace(node, node_id=new_id, host_id="")),
        links=links,
        private_nodes=problem.private_nodes | ({new_id} if is_private else set()),
    )
    return changed, new_id


def _faster_nodes(problem: Problem) -> Iterator[Improvement]:
    for node in sorted(problem.nodes, key=lambda node: node.node_id):
        faster = replace(
            node,
            layer_s=tuple(None if seconds is None else seconds / 2 for seconds in node.layer_s),
            stage_s=node.stage_s / 2,
            message_cpu_s=node.message_cpu_s / 2,
            byte_cpu_s=node.byte_cpu_s / 2,
        )
        sentence = f"a node twice as fast in place of {problem.label(node.node_id)}"
        yield Improvement(
            kind=Kind.FASTER_NODE,
            problem=constraints.changed_nodes(problem, {node.node_id: faster}),
            sentence=partial(_always, sentence),
        )


def _one_of_each(nodes: Iterable[PlanNode]) -> list[PlanNode]:
    """The first of nodes that differ in name and place only, by node id."""
    first: dict[PlanNode, PlanNode] = {}
    for node in sorted(nodes, key=lambda node: node.node_id):
        first.setdefault(replace(node, node_id=NodeId(""), name="", unable="", host_id=""), node)
    return list(first.values())
