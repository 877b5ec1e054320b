"""How fast a link is believed to be, where it is not what it was when planning went by it; pure.

    STEADY ──told slower, or faster──▶ DRIFTED ──told as at first, after its rest──▶ STEADY

Whoever measures a link takes the least of several probes, and says more than noise only when it was
measured twice (`mesh.node.probes`). So what is told slower is believed at once, but what is told
faster only after a rest, which is twice as long each time that the link disappoints again: a link
that comes and goes is not tried again and again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mesh.fleet.drift import MAX_REST_S, REST_S
from mesh.fleet.plans import links_of
from mesh.ids import NodeId
from mesh.planning import PlanLink
from mesh.planning.pieces import Pieces
from mesh.wire.documents import Plan

Pair = tuple[NodeId, NodeId]

BAND = 1.5
"""What a link is told to take, within this factor of what is believed, either way, is noise."""
NOISE_S = 5e-3
"""So much of a transfer is the processors', which are busier at one time than at another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPace:
    """What is believed of one link: `link`; `normal` is what it was at first.

    `slowness` = how many times longer a frame of the model took when the belief began. Nothing
    faster is believed before `rests_until_s`.
    """

    link: PlanLink
    normal: PlanLink
    slowness: float = 1.0
    rest_s: float = 0.0
    rests_until_s: float = 0.0

    @property
    def is_steady(self) -> bool:
        return self.slowness == 1.0


def look(pace: LinkPace | None, told: PlanLink, *, size_bytes: int, now_s: float) -> LinkPace:
    """The belief after one more look. `size_bytes` = of a frame that counts there."""
    if pace is None:
        return LinkPace(link=told, normal=told)
    away = _away(pace.link, told, size_bytes)
    if away == 0 or (away < 0 and now_s < pace.rests_until_s):
        return pace
    pace = replace(pace, link=told, slowness=_slowness(pace.normal, told, size_bytes))
    if away < 0:
        return pace
    # It did well for as long as its rest: the next one is short again.
    did_well = pace.rest_s == 0 or now_s > pace.rests_until_s + pace.rest_s
    rest_s = REST_S if did_well else min(2 * pace.rest_s, MAX_REST_S)
    return replace(pace, rest_s=rest_s, rests_until_s=now_s + rest_s)


def frame_sizes(
    pairs: Iterable[Pair], live: Plan | None, pieces: Pieces, gateway: NodeId
) -> dict[Pair, int]:
    """The bytes of a frame that counts on each link: what the live plan sends there, else a usual one."""
    usual = sorted(pieces.boundary_bytes)[len(pieces.boundary_bytes) // 2]
    return {**dict.fromkeys(pairs, usual), **_carried(live, pieces, gateway)}


def _carried(live: Plan | None, pieces: Pieces, gateway: NodeId) -> dict[Pair, int]:
    """What a request's frames hold on each link of a live plan."""
    places = {operator: place for place, operator in enumerate(pieces.boundaries)}
    return {
        (one.sender, one.receiver): pieces.boundary_bytes[places[one.cut]]
        for one in (links_of(live, gateway) if live is not None else ())
        if one.cut in places
    }


def _away(believed: PlanLink, told: PlanLink, size_bytes: int) -> int:
    """1 where it is told notably slower than believed, -1 where faster, 0 within noise."""
    before_s, now_s = believed.transfer_s(size_bytes), told.transfer_s(size_bytes)
    if now_s > max(before_s * BAND, before_s + NOISE_S):
        return 1
    return -1 if now_s < min(before_s / BAND, before_s - NOISE_S) else 0


def _slowness(normal: PlanLink, told: PlanLink, size_bytes: int) -> float:
    if _away(normal, told, size_bytes) == 0:
        return 1.0
    return told.transfer_s(size_bytes) / max(normal.transfer_s(size_bytes), NOISE_S / BAND)
