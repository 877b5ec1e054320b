"""Why a plan is sought anew, in words for people; nothing is decided here."""

from collections.abc import Iterable

from mesh.fleet.plans import broken
from mesh.fleet.readings import Condition
from mesh.fleet.track import Basis, Situation, Track
from mesh.fleet.view import View
from mesh.ids import NodeId

_MAX_NAMED = 4


def why_anew(track: Track, basis: Basis, now: Situation) -> str:
    """The first that applies: what is wrong with the live plan, else what differs from the last planning."""
    if now.live is None:
        return "the first plan"
    return (
        _trouble(now)
        or _difference(track, basis, now)
        or "the coordinator is new, or the last plan did not come to be"
    )


def _trouble(now: Situation) -> str:
    live = now.live
    if live is None:
        return ""
    failed = broken(now.view, live)
    gone = [n for n in live.node_ids if n not in now.ready | now.draining]
    draining = [n for n in live.node_ids if n in now.draining]
    if failed:
        return f"{_named(failed, now)} failed: {'; '.join(failed.values())}"
    if gone:
        return f"{_named(gone, now)} left"
    return f"{_named(draining, now)} {_are(draining)} draining" if draining else ""


def _difference(track: Track, basis: Basis, now: Situation) -> str:
    old = track.basis
    if old is None:
        return ""
    joined = [n for n in basis.nodes if n not in old.nodes]
    left = [n for n in old.nodes if n not in basis.nodes]
    if joined:
        return f"{_named(joined, now)} can take part"
    if left:
        return f"{_named(left, now)} cannot take part any more"
    if old.wishes != basis.wishes:
        return "what the model asks for is not what it was"
    modes = [
        f"{_named([n], now)} is in power mode {new[-1]} instead of {was[-1]}"
        for n, was, new in zip(basis.nodes, old.kernels, basis.kernels, strict=False)
        if was[-1] != new[-1]
    ]
    if modes:
        return "; ".join(modes[:_MAX_NAMED])
    had, now_has = dict(old.cores), dict(basis.cores)
    before = dict(old.paces)
    moved = [
        f"{_named([n], now)} has {cores:.3g} processor cores instead of {had[n]:.3g}"
        for n, cores in basis.cores
        if had.get(n, cores) != cores
    ]
    moved += [
        _pace(n, before.get(n, 1.0), slowness, now)
        for n, slowness in basis.paces
        if before.get(n, 1.0) != slowness and had.get(n) == now_has.get(n)
    ]
    known = dict(old.paths)
    changed = {*known, *dict(basis.paths)}
    moved += [
        f"{_path(pair, now)} became {_times(known.get(pair, 1.0), slowness)}"
        for pair in sorted(changed)
        if (slowness := dict(basis.paths).get(pair, 1.0)) != known.get(pair, 1.0)
    ]
    return "; ".join(moved[:_MAX_NAMED]) or "nodes or links were measured anew"


def _pace(node_id: NodeId, before: float, slowness: float, now: Situation) -> str:
    """As "node-2 became 2.9 times slower (throttled, 82 °C)"."""
    why = aside(now.conditions.get(node_id)) if slowness >= before else ""
    return f"{_named([node_id], now)} became {_times(before, slowness)}{why}"


def _times(before: float, slowness: float) -> str:
    if slowness < before:
        return f"{before / slowness:.1f} times faster"
    return f"{slowness / before:.1f} times slower"


def _path(pair: tuple[NodeId, NodeId], now: Situation) -> str:
    return f"the link {name_in(now.view, pair[0])} → {name_in(now.view, pair[1])}"


def aside(condition: Condition | None) -> str:
    """As " (throttled, 82 °C)"; or empty."""
    if condition is None:
        return ""
    warmth = f"{condition.temperature_c:.0f} °C" if condition.temperature_c is not None else ""
    told = ", ".join(one for one in ("throttled" if condition.is_throttled else "", warmth) if one)
    return f" ({told})" if told else ""


def _named(nodes: Iterable[NodeId], now: Situation) -> str:
    names = [name_in(now.view, node_id) for node_id in sorted(nodes)]
    more = [f"{len(names) - _MAX_NAMED} more"] if len(names) > _MAX_NAMED else []
    return " and ".join([*names[:_MAX_NAMED], *more])


def name_in(view: View, node_id: NodeId) -> str:
    """What a node calls itself; its id before it said so."""
    node = view.get(node_id)
    return node.advert.name if node is not None and node.advert is not None else node_id


def _are(nodes: list[NodeId]) -> str:
    return "is" if len(nodes) == 1 else "are"
