"""A plan on its way to be live: who loads its stage, who fails to, and when it can be checked; pure."""

from collections.abc import Mapping
from dataclasses import replace

from mesh.fleet.bars import bar, still_barred
from mesh.fleet.plans import broken, is_healthy, unready
from mesh.fleet.reconcile import newer
from mesh.fleet.track import Check, Instruction, Phase, Situation, Track, idle
from mesh.ids import NodeId
from mesh.wire.documents import Plan

PREPARE_S = 60.0
"""How long stages may take to load before the plan is given up."""
_LATE = f"its stage was not loaded within {PREPARE_S:.0f} s"


def watch_preparation(track: Track, plan: Plan, now: Situation) -> tuple[Track, Instruction | None]:
    """Check the plan when all its stages are ready; give it up when a node of it failed or left."""
    if not is_healthy(plan, now.ready) or not newer(plan, now.live):
        return idle(replace(track, basis=None), now.now_s), None
    missing = unready(now.view, plan)
    late = missing if now.now_s - track.since_s > PREPARE_S else ()
    failed = broken(now.view, plan) or dict.fromkeys(late, _LATE)
    if failed:
        return idle(replace(barring(track, failed, now), basis=None), now.now_s), None
    if track.phase is Phase.PREPARING and not missing:
        took_s = now.now_s - track.since_s
        checking = replace(track, phase=Phase.CHECKING, since_s=now.now_s, prepared_s=took_s)
        return checking, Check(plan=plan)
    return track, None


def barring(track: Track, failed: Mapping[NodeId, str], now: Situation) -> Track:
    """The track with who failed left out, beside those whose bar still holds."""
    new = bar(failed, track.records, now_s=now.now_s)
    kept = still_barred(track.barred, now.ready, now_s=now.now_s)
    records = {n: one for n, one in track.records.items() if n in now.ready}
    return replace(track, barred={**kept, **new}, records={**records, **new})
