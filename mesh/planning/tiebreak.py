"""Among pipelines of equal period, latency and length: the first by node ids, then by cuts."""

import itertools
from collections import Counter

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.planning.cheapest import Cheapest
from mesh.planning.limits import Limits
from mesh.planning.paths import State, beginnings, steps


def first_of_cheapest(limits: Limits, cheapest: Cheapest) -> list[tuple[NodeId, LayerRange]]:
    """Node ids are compared first, in the order of the pipeline, then the cuts."""
    node_ids, options = _first_nodes(limits, cheapest)
    cuts = _first_cuts(limits, cheapest, options)
    ranges = [LayerRange(start=a, stop=b) for a, b in itertools.pairwise(cuts)]
    return list(zip(node_ids, ranges, strict=True))


def _first_nodes(limits: Limits, cheapest: Cheapest) -> tuple[list[NodeId], list[set[State]]]:
    """The nodes in order, and for each stage the states in which it may begin.

    Nodes of a kind are taken in the order of their ids: that is the first of all equal choices.
    """
    node_ids: list[NodeId] = []
    options: list[set[State]] = []
    taken = Counter[int]()
    states = set(beginnings(limits, cheapest))
    while states:
        ids = {kind: limits.grid.kinds[kind].node_ids for kind in {state.kind for state in states}}
        node_id, kind = min((ids[kind][taken[kind]], kind) for kind in ids)
        taken[kind] += 1
        node_ids.append(node_id)
        options.append({state for state in states if state.kind == kind})
        following = {after for state in options[-1] for after in steps(limits, cheapest, state)}
        states = {state for state in following if state.stages > 0}
    return node_ids, options


def _first_cuts(limits: Limits, cheapest: Cheapest, options: list[set[State]]) -> list[int]:
    """The smallest cuts: from the end drop the states that lead to other nodes, then walk."""
    grid = limits.grid
    alive = {State(kind=grid.gateway, start=grid.layers, stages=0, used=0)}
    ways: list[dict[State, set[State]]] = []
    for states in reversed(options):
        onward = {state: alive.intersection(steps(limits, cheapest, state)) for state in states}
        ways.append({state: following for state, following in onward.items() if following})
        alive = set(ways[-1])
    cuts = [0]
    for onward in reversed(ways):
        following = set().union(*(onward[state] for state in alive))
        cuts.append(min(state.start for state in following))
        alive = {state for state in following if state.start == cuts[-1]}
    return cuts
