"""Who plans: a lease with a term, renewed by its holder's heartbeats; a pure rule that all apply.

Two coordinators after a partition are harmless (inference is stateless, each side serves with what
it has); when they hear each other again the higher term wins, on equal terms the smaller node id.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mesh.ids import NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """`term` only grows; term 0 without a holder is the state before any election."""

    term: int = 0
    holder: NodeId | None = None


def beats(one: Lease, other: Lease) -> bool:
    """Whether `one` replaces `other`."""
    if one.term != other.term:
        return one.term > other.term
    if one.holder is None or other.holder is None:
        return one.holder is not None and other.holder is None
    return one.holder < other.holder


def next_lease(
    mine: Lease,
    heard: Iterable[Lease],
    *,
    me: NodeId,
    candidates: Collection[NodeId],
    vouched: Collection[NodeId] = (),
) -> Lease:
    """The lease to go by now, given the leases in the heartbeats of present nodes.

    `candidates` = ready nodes that are present, this one among them if it is ready. `vouched` =
    nodes that this one does not hear, but a present one does: where not everybody hears everybody,
    they keep the lease from going round. A lease whose holder is neither has run out: the candidate
    of the smallest id takes it at the next term.
    """
    best = mine
    for lease in heard:
        if beats(lease, best):
            best = lease
    if best.holder in candidates or best.holder in vouched or not candidates:
        return best
    if min(candidates) == me:
        return Lease(term=best.term + 1, holder=me)
    return best
