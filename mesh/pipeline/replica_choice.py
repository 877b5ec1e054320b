"""Which replica of a stage gets the next request: by turns that keep the shares, or by who is done first; pure."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from mesh.ids import NodeId

K = TypeVar("K", NodeId, int)

_ROUNDING = 1e-9
_DIGITS = 6
"""Sums of shares are off by less: a tie is a tie."""


class Turns(Generic[K]):
    """Takes turns by shares that may change: while they stay, each has its share to within one turn.

    The quota method of Balinski and Young (1975): among those whose share is not used up, the one
    that would be due first. The same shares in any order give the same turns.
    """

    def __init__(self) -> None:
        self._credit: dict[K, float] = {}

    def next(self, shares: Mapping[K, float]) -> K:
        """Whose turn it is; `shares` are positive and need not come to 1."""
        total = sum(shares.values())
        for key, share in shares.items():
            self._credit[key] = self._credit.get(key, 0.0) + share / total
        due = [key for key in shares if self._credit[key] > _ROUNDING] or list(shares)
        chosen = min(due, key=lambda key: (self._turns_until_due(key, shares[key]), key))
        self._credit[chosen] -= 1
        return chosen

    def _turns_until_due(self, key: K, share: float) -> float:
        return round((1 - self._credit[key]) / share, _DIGITS)


def first_done(
    shares: Mapping[NodeId, float], in_flight: Mapping[NodeId, int], *, enough: int = 0
) -> NodeId:
    """The node that would finish one request more first: its pace goes by its share.

    Nodes with fewer than `enough` in flight go first, or a slow one would stand idle under load.
    """
    short = [node_id for node_id in shares if in_flight.get(node_id, 0) < enough]
    return min(short or shares, key=lambda n: ((in_flight.get(n, 0) + 1) / shares[n], n))
