"""The pipelines that reach the least latency, as a graph of states: one step is one stage."""

from collections.abc import Iterator
from dataclasses import dataclass

from mesh.planning.cheapest import Cheapest
from mesh.planning.limits import Limits
from mesh.planning.ticks import NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A stage of `kind` begins at layer `start`; it and those after it use `used` nodes, `stages` in all."""

    kind: int
    start: int
    stages: int
    used: int


def beginnings(limits: Limits, cheapest: Cheapest) -> Iterator[State]:
    """The first stages of the cheapest pipelines."""
    grid = limits.grid
    entries, allowed = grid.hops[grid.gateway], limits.sends[grid.gateway]
    for stages in range(grid.min_stages, len(cheapest.tails)):
        for used, firsts in cheapest.tails[stages].items():
            for kind, costs in firsts.items():
                if allowed[kind] & 1 and costs.get(0, NEVER) + entries[kind][0] == cheapest.ticks:
                    yield State(kind=kind, start=0, stages=stages, used=used)


def steps(limits: Limits, cheapest: Cheapest, state: State) -> Iterator[State]:
    """What may follow a state without spending more; after the last stage the gateway, 0 stages."""
    it = limits.grid.kinds[state.kind]
    used = state.used - limits.grid.steps[state.kind]
    cost = cheapest.tails[state.stages][state.used][state.kind][state.start]
    rest = cost + it.until[state.start] - it.stage - cheapest.per_stage
    for receiver, costs in cheapest.tails[state.stages - 1][used].items():
        allowed = limits.sends[state.kind][receiver]
        hops = limits.grid.hops[state.kind][receiver]
        for stop, after in costs.items():
            if (
                after + hops[stop] + it.until[stop] == rest
                and allowed >> stop & 1
                and limits.allows(state.kind, state.start, stop)
            ):
                yield State(kind=receiver, start=stop, stages=state.stages - 1, used=used)


def least_period(limits: Limits, cheapest: Cheapest) -> int:
    """The least period of the cheapest pipelines."""
    entries = limits.grid.hops[limits.grid.gateway]
    known: dict[State, int] = {}
    return min(
        max(entries[state.kind][0], _period_from(limits, cheapest, state, known))
        for state in beginnings(limits, cheapest)
    )


def _period_from(limits: Limits, cheapest: Cheapest, state: State, known: dict[State, int]) -> int:
    """The least period of what begins at a state; the recursion is as deep as the pipeline is long."""
    if state.stages == 0:
        return 0
    if state not in known:
        it = limits.grid.kinds[state.kind]
        hops = limits.grid.hops[state.kind]
        known[state] = min(
            max(
                it.until[following.start] - it.until[state.start] + it.stage,
                hops[following.kind][following.start],
                _period_from(limits, cheapest, following, known),
            )
            for following in steps(limits, cheapest, state)
        )
    return known[state]
