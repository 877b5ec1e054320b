"""Whether a sound live plan is left for another: the gain, the cost of switching, and how often; pure."""

from mesh.fleet.drift import HARD
from mesh.fleet.track import Basis, Cause, Track
from mesh.ids import NodeId
from mesh.planning import Objective, Solution

LEAST_GAIN = 1.05
"""A better plan must promise this factor where nodes, links or wishes are others than before."""
LEAST_GAIN_OF_DRIFT = 1.08
"""… and this one where nodes only became slower or faster: that may pass by itself."""
HORIZON_S = 60.0
"""A gain counts for so long; what a switch costs is taken off it."""
DWELL_S = 60.0
"""Between two switches for drift; see `may_switch`."""
USUAL_COST_S = 2.0
"""How long a plan takes to be made ready, before it was measured."""


def causes_of(old: Basis | None, new: Basis) -> frozenset[Cause]:
    """The nodes and links whose pace or cores are all that changed; empty where anything else did."""
    if old is None or not _are_alike(old, new):
        return frozenset()
    changed = ({*old.paces} ^ {*new.paces}) | ({*old.cores} ^ {*new.cores})
    return frozenset(n for n, _ in changed) | {pair for pair, _ in {*old.paths} ^ {*new.paths}}


def _are_alike(old: Basis, new: Basis) -> bool:
    """Whether only paces, cores and paths differ."""
    return (old.nodes, old.wishes, old.kernels, old.linked) == (
        new.nodes,
        new.wishes,
        new.kernels,
        new.linked,
    )


def may_switch(track: Track, causes: frozenset[Cause], new: Basis, *, now_s: float) -> bool:
    """Whether drift may cause a switch already: once a minute.

    The first reaction to a node that became much slower does not wait, unless that very node was
    what the last switch was about.
    """
    if track.switched_s is None or now_s - track.switched_s >= DWELL_S:
        return True
    before = dict(track.basis.paces) if track.basis is not None else {}
    is_hard = any(
        node_id in causes and slowness >= HARD * before.get(node_id, 1.0)
        for node_id, slowness in new.paces
    )
    return is_hard and not causes & track.switched_for


def is_worthwhile(
    objective: Objective, found: Solution, live: Solution | None, *, is_drift: bool, cost_s: float
) -> bool:
    """Whether to switch from a live plan, given what today's facts promise of both.

    `live` is None where the facts or wishes do not allow it any more. `cost_s` is how long the other
    takes to be made ready, of which nothing is gained.
    """
    if live is None:
        return True
    if _layout(found) == _layout(live) and not is_drift:
        return False  # measured again
    is_latency = objective is Objective.LATENCY
    now_s, then_s = (one.latency_s if is_latency else one.bottleneck_s for one in (live, found))
    kept = max(0.0, 1 - cost_s / HORIZON_S) if is_drift else 1.0
    return now_s * kept >= then_s * (LEAST_GAIN_OF_DRIFT if is_drift else LEAST_GAIN)


def _layout(solution: Solution) -> tuple[tuple[tuple[NodeId, ...], int, int], ...]:
    return tuple(
        (stage.node_ids, stage.layers.start, stage.layers.stop) for stage in solution.stages
    )
