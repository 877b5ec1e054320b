"""A problem as the search sees it: whole numbers, and interchangeable nodes as one kind.

Nothing here depends on the order in which nodes or links were given: everything goes by node id.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from mesh.ids import NodeId
from mesh.planning.costs import at, transfer_ticks
from mesh.planning.problem import PlanNode, Problem
from mesh.planning.ticks import NEVER, to_ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Nodes that any plan may swap without changing a figure (shared machines aside), sorted by id.

    `until[i]` = ticks of layers [0, i); a stage takes `stage` more. A stage [start, stop) fits (into
    memory, and holds no layer that the nodes cannot run) when start ≥ `first_fit[stop]` and, where
    `gaps` is given, bit start of `gaps[stop]` is set: frames held at boundaries may make a shorter
    stage need more than a longer one.
    """

    node_ids: tuple[NodeId, ...]
    until: tuple[int, ...]
    stage: int
    first_fit: tuple[int, ...]
    gaps: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """`hops[a][b][boundary]` = ticks from kind a to another node of kind b; index `gateway` = outside.

    How many nodes of each kind are used is one number: kind k counts in steps of `steps[k]`.
    """

    layers: int
    kinds: tuple[Kind, ...]
    hops: tuple[tuple[tuple[int, ...], ...], ...]
    steps: tuple[int, ...]
    min_stages: int
    max_stages: int

    @property
    def gateway(self) -> int:
        return len(self.kinds)

    def used_of(self, kind: int, used: int) -> int:
        """How many nodes of a kind are among the used."""
        return used // self.steps[kind] % (len(self.kinds[kind].node_ids) + 1)

    def free_kinds(self, used: int) -> list[int]:
        """The kinds that still have a node."""
        return [
            kind
            for kind, step in enumerate(self.steps)
            if used // step % (size := len(self.kinds[kind].node_ids) + 1) < size - 1
        ]


def build_grid(problem: Problem) -> Grid:
    groups = _interchangeable(problem)
    kinds = tuple(_kind(problem, group) for group in groups)
    sizes = [len(group) + 1 for group in groups]
    most = min(len(problem.nodes), problem.layers)
    return Grid(
        layers=problem.layers,
        kinds=kinds,
        hops=_hops(problem, groups),
        steps=tuple(accumulate(sizes[:-1], lambda step, size: step * size, initial=1)),
        min_stages=problem.min_stages,
        max_stages=most if problem.max_stages is None else min(most, problem.max_stages),
    )


def _interchangeable(problem: Problem) -> list[list[PlanNode]]:
    """Swapping two nodes is a symmetry or not, and that is transitive: one of a group stands for it."""
    groups: list[list[PlanNode]] = []
    for node in sorted(problem.nodes, key=lambda node: node.node_id):
        for group in groups:
            if _may_swap(problem, group[0], node):
                group.append(node)
                break
        else:
            groups.append([node])
    return groups


def _may_swap(problem: Problem, one: PlanNode, other: PlanNode) -> bool:
    if (one.layer_s, one.stage_s, one.memory_bytes) != (
        other.layer_s,
        other.stage_s,
        other.memory_bytes,
    ):
        return False
    a, b, links = one.node_id, other.node_id, problem.links
    if problem.gateway in {a, b} or links.get((a, b)) != links.get((b, a)):
        return False
    others = {node.node_id for node in problem.nodes} | {problem.gateway}
    return all(
        links.get((a, c)) == links.get((b, c)) and links.get((c, a)) == links.get((c, b))
        for c in others - {a, b, None}
        if c is not None
    )


def _hops(
    problem: Problem, groups: Sequence[Sequence[PlanNode]]
) -> tuple[tuple[tuple[int, ...], ...], ...]:
    senders = [*(group[0].node_id for group in groups), problem.gateway]
    # The last of a group: another node than the first, so that a kind of one cannot send to itself.
    receivers = [*(group[-1].node_id for group in groups), problem.gateway]
    never = (NEVER,) * (problem.layers + 1)
    return tuple(
        tuple(
            never
            if a == b and (a == len(groups) or len(groups[a]) == 1)
            else tuple(
                transfer_ticks(problem, sender, receiver, boundary)
                for boundary in range(problem.layers + 1)
            )
            for b, receiver in enumerate(receivers)
        )
        for a, sender in enumerate(senders)
    )


def _kind(problem: Problem, group: Sequence[PlanNode]) -> Kind:
    node = group[0]
    fits = [
        mask >> able << able
        for mask, able in zip(
            _fits(problem, to_ticks(node.memory_bytes)), _first_able(node), strict=True
        )
    ]
    first_fit = tuple(_lowest(mask, stop) for stop, mask in enumerate(fits))
    whole = all(mask == (1 << stop) - (1 << first_fit[stop]) for stop, mask in enumerate(fits))
    rising = all(one <= other for one, other in pairwise(first_fit))
    # With gaps, `first_fit` is lowered until it rises: the exact answer is in the masks then.
    lowered = tuple(reversed(list(accumulate(reversed(first_fit), min))))
    return Kind(
        node_ids=tuple(node.node_id for node in group),
        until=tuple(accumulate(map(to_ticks, node.times_s), initial=0)),
        stage=to_ticks(node.stage_s),
        first_fit=lowered,
        gaps=None if whole and rising else tuple(fits),
    )


def _first_able(node: PlanNode) -> list[int]:
    """For each stop the first start of a stage that the node can run."""
    barriers = (layer + 1 if time is None else 0 for layer, time in enumerate(node.layer_s))
    return list(accumulate(barriers, max, initial=0))


def _lowest(mask: int, otherwise: int) -> int:
    return (mask & -mask).bit_length() - 1 if mask else otherwise


def _fits(problem: Problem, room: int) -> list[int]:
    """For each stop the starts of stages that fit, as bits."""
    held = list(accumulate(map(to_ticks, problem.layer_memory_bytes), initial=0))
    room -= to_ticks(problem.stage_memory_bytes)
    # The stage fits when held[stop] + send[stop] <= room + held[start] - receive[start].
    limits = [
        room + held[start] - at(problem.receive_memory_bytes, start)
        for start in range(problem.layers)
    ]
    if all(one <= other for one, other in pairwise(limits)):
        return [0] + [
            (1 << stop)
            - (
                1
                << min(stop, bisect_left(limits, held[stop] + at(problem.send_memory_bytes, stop)))
            )
            for stop in range(1, problem.layers + 1)
        ]
    return [
        sum(
            1 << start
            for start in range(stop)
            if held[stop] + at(problem.send_memory_bytes, stop) <= limits[start]
        )
        for stop in range(problem.layers + 1)
    ]
