"""The least memory that lets a plan exist: more on any one node, else more on several. Exact to a byte."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mesh.ids import NodeId
from mesh.planning import wording
from mesh.planning.costs import memory_bytes
from mesh.planning.problem import Problem
from mesh.planning.reasons.constraints import ample_bytes, node_ids, with_more_memory
from mesh.planning.search.kinds import kinds_of
from mesh.planning.solution import Solution

Possible = Callable[[Problem], Solution | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreMemory:
    """`more_bytes` by node; `is_any` = on any one of these, else on each."""

    more_bytes: Mapping[NodeId, int]
    is_any: bool

    def applied_to(self, problem: Problem) -> Problem:
        """On the first node where any will do."""
        for node_id, more in sorted(self.more_bytes.items())[: 1 if self.is_any else None]:
            problem = with_more_memory(problem, frozenset({node_id}), more)
        return problem

    def phrase(self, problem: Problem) -> str:
        """As "212 MiB (222,298,112 bytes) more on any node"."""
        names = [problem.label(node_id) for node_id in sorted(self.more_bytes)]
        if self.is_any:
            is_every = len(names) == len(problem.nodes) > 1
            where = "any node" if is_every else wording.listed(names, word="or")
            return f"{wording.exact_size(min(self.more_bytes.values()))} more on {where}"
        return wording.listed(
            [
                f"{wording.exact_size(more)} more on {problem.label(node_id)}"
                for node_id, more in sorted(self.more_bytes.items())
            ]
        )


def least_memory(problem: Problem, possible: Possible) -> MoreMemory | None:
    """None where no amount is enough."""
    return _on_one_node(problem, possible) or _on_several(problem, possible)


def _on_one_node(problem: Problem, possible: Possible) -> MoreMemory | None:
    """One node of a kind stands for all; it is looked at closely only if it may need no more than those before."""
    least, nodes = ample_bytes(problem), list[NodeId]()
    for kind in kinds_of(problem):
        needed = _least_on(problem, frozenset({kind.first.node_id}), least, possible)
        if needed is None:
            continue
        alike = [node.node_id for node in kind.nodes]
        nodes = [*(nodes if needed == least else []), *alike]
        least = needed
    return MoreMemory(more_bytes=dict.fromkeys(nodes, least), is_any=True) if nodes else None


def _on_several(problem: Problem, possible: Possible) -> MoreMemory | None:
    """The least that each of several nodes needs, none of them more than that."""
    whose = frozenset(node_ids(problem))
    least = _least_on(problem, whose, ample_bytes(problem), possible)
    if least is None:
        return None
    plan = possible(with_more_memory(problem, whose, least))
    lacks = {} if plan is None else _lacks(problem, plan, whose)
    return MoreMemory(more_bytes=lacks, is_any=False) if lacks else None


def _least_on(
    problem: Problem, whose: frozenset[NodeId], most: int, possible: Possible
) -> int | None:
    """The least number of bytes ≤ `most` with which there is a plan; what a plan takes is enough."""
    low, high = 0, most
    plan = possible(with_more_memory(problem, whose, high))
    if plan is None:
        return None
    high = min(high, _lacking(problem, plan, whose))
    while high - low > 1:
        # Plans take steps in memory: just below the last one found there is often none.
        for more in (high - 1, (low + high) // 2):
            plan = possible(with_more_memory(problem, whose, more))
            if plan is None:
                low = max(low, more)
            else:
                high = min(high, more, _lacking(problem, plan, whose))
            if high - low <= 1:
                break
    return high


def _lacking(problem: Problem, plan: Solution, whose: frozenset[NodeId]) -> int:
    """The most that any of these nodes lacks in a plan; at least a byte, since nothing is too little."""
    return max([1, *_lacks(problem, plan, whose).values()])


def _lacks(problem: Problem, plan: Solution, whose: frozenset[NodeId]) -> dict[NodeId, int]:
    rooms = {node.node_id: node.memory_bytes for node in problem.nodes}
    lacks = {
        node_id: math.ceil(memory_bytes(problem, stage.layers) - rooms[node_id])
        for stage in plan.stages
        for node_id in stage.node_ids
        if node_id in whose
    }
    return {node_id: more for node_id, more in lacks.items() if more > 0}
