"""When to plan: there is no sound live plan, or what the last planning went by has changed; pure."""

from collections.abc import Collection
from dataclasses import replace

from mesh.fleet.drift import look
from mesh.fleet.facts import (
    Standing,
    are_neighbours,
    known_links,
    nobody_sentence,
    problem_for,
    standing,
    waiting_sentence,
    without_bytes,
)
from mesh.fleet.link_drift import LinkPace, Pair, frame_sizes
from mesh.fleet.link_drift import look as look_at_link
from mesh.fleet.plans import broken, held_by, is_healthy
from mesh.fleet.readings import readings
from mesh.fleet.reasons import why_anew
from mesh.fleet.switching import causes_of, may_switch
from mesh.fleet.track import Basis, Instruction, Phase, Situation, Solve, Track
from mesh.ids import NodeId

SETTLE_S = 30.0
"""How long nodes that are still measuring are waited for before planning goes on without them."""
SPLIT_SETTLE_S = 120.0
"""… while there are fewer than the stages asked for."""


def watch_paces(track: Track, now: Situation) -> Track:
    """Believe what the stages of the live plan show of their nodes, and what is told of links."""
    seen = readings(
        now.view,
        now.facts.model_id,
        now.live,
        nodes=now.ready | now.draining,
        conditions=now.conditions,
    )
    paces = {n: look(track.paces.get(n), one, now_s=now.now_s) for n, one in seen.items()}
    return replace(track, paces=paces, path_paces=_path_paces(track, now))


def _path_paces(track: Track, now: Situation) -> dict[Pair, LinkPace]:
    """What is believed of each link between machines: on one, links are as slow as the nodes are busy."""
    links = {
        pair: link
        for pair, link in known_links(now.view, {*now.ready, *now.draining, now.me}).items()
        if not are_neighbours(now.view, *pair)
    }
    sizes = frame_sizes(links, now.live, now.facts.pieces, now.me)
    known = track.path_paces
    return {
        pair: look_at_link(known.get(pair), link, size_bytes=sizes[pair], now_s=now.now_s)
        for pair, link in links.items()
    }


def consider(track: Track, now: Situation) -> tuple[Track, Instruction | None]:
    """Plan when there is no sound live plan, or when the facts are not those planned for."""
    sound = _is_sound(now, now.ready - track.barred.keys())
    who = _standing(track, now, need_links=True)
    since_s = now.now_s if track.waiting_since_s is None else track.waiting_since_s
    track = replace(track, waiting_since_s=since_s if who.waiting else None)
    in_need = now.live is not None and not sound
    if who.waiting and not in_need and now.now_s - since_s < _patience_s(now, who):
        if track.basis is None:
            problem = None if sound else waiting_sentence(now.view, who)
            track = replace(track, problem=problem)
        return track, None
    if who.waiting:
        who = _standing(track, now, need_links=False)
    if not who.eligible:
        problem = nobody_sentence(now.view, who)
        return replace(track, problem=problem, basis=None), None
    basis = _basis(track, now, who.eligible)
    if basis == track.basis and (sound or track.problem is not None):
        return track, None
    causes = causes_of(track.basis, basis) if sound else frozenset()
    if causes and not may_switch(track, causes, basis, now_s=now.now_s):
        return track, None
    return _solving(replace(track, causes=causes), now, basis)


def _is_sound(now: Situation, usable: Collection[NodeId]) -> bool:
    """Whether the live plan can serve: a node that has just restarted has not read its model yet."""
    if now.live is None or broken(now.view, now.live):
        return False
    measured = {
        n for n in usable if n in now.view and now.live.model_id in now.view[n].capabilities
    }
    return is_healthy(now.live, measured)


def _standing(track: Track, now: Situation, *, need_links: bool) -> Standing:
    return standing(
        now.view,
        now.facts.model_id,
        now.facts.pieces,
        ready=now.ready,
        barred={node_id: str(one) for node_id, one in track.barred.items()},
        need_links=need_links,
        wishes=now.facts.wishes,
        draining=now.draining,
    )


def _patience_s(now: Situation, who: Standing) -> float:
    """A split that was asked for is worth waiting for nodes."""
    wanted = min(now.facts.wishes.min_stages, len(now.facts.pieces), len(now.ready))
    return SPLIT_SETTLE_S if wanted > 1 and len(who.eligible) < wanted else SETTLE_S


def _basis(track: Track, now: Situation, eligible: tuple[NodeId, ...]) -> Basis:
    measured = [now.view[node_id].capabilities[now.facts.model_id] for node_id in eligible]
    return Basis(
        nodes=eligible,
        wishes=now.facts.wishes,
        kernels=tuple((one.kernel_class, one.threads, one.power_mode) for one in measured),
        linked=tuple(sorted(known_links(now.view, {*eligible, now.me}))),
        paces=tuple((n, track.paces[n].slowness * _share(n, now)) for n in eligible),
        paths=tuple(
            (pair, pace.slowness)
            for pair, pace in sorted(track.path_paces.items())
            if not pace.is_steady and {*pair} <= {*eligible, now.me}
        ),
        cores=tuple((n, one.host_cores) for n in eligible if (one := now.view[n].advert)),
    )


def _share(node_id: NodeId, now: Situation) -> float:
    """How many times slower a node is for the cores that it may use: a quota may change."""
    node = now.view[node_id]
    threads = node.capabilities[now.facts.model_id].threads
    return 1.0 if node.advert is None else max(1.0, threads / node.advert.host_cores)


def _solving(track: Track, now: Situation, basis: Basis) -> tuple[Track, Instruction]:
    solving = replace(
        track,
        phase=Phase.SOLVING,
        since_s=now.now_s,
        basis=basis,
        problem=None,
        reason=why_anew(track, basis, now),
    )
    problem = problem_for(
        now.view,
        now.facts.model_id,
        now.facts.pieces,
        eligible=basis.nodes,
        gateway=now.me,
        wishes=basis.wishes,
        paces=track.paces,
        drifted={n: one.link for n, one in track.path_paces.items() if not one.is_steady},
    )
    return solving, Solve(
        model_id=now.facts.model_id,
        problem=problem,
        roomy=without_bytes(problem, held_by(now.view, now.live)),
        may_crowd=not track.causes,
        live=now.live,
    )
