"""For how long a node that failed with a model is left out of it: longer each time it fails again; pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mesh.ids import NodeId

BAR_S = 300.0
"""The first time: memory and disks recover."""
MAX_BAR_S = 86_400.0
"""A model that kills every interpreter comes to rest like this: a few tries a day, no storm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Why a node is left out, since when, and until when."""

    why: str
    since_s: float
    until_s: float

    @property
    def length_s(self) -> float:
        return self.until_s - self.since_s

    def __str__(self) -> str:
        """For how long and why, in words."""
        return f"left out for {self.length_s / 60:.0f} min: {self.why}"


def bar(
    failed: Mapping[NodeId, str], records: Mapping[NodeId, Bar], *, now_s: float
) -> dict[NodeId, Bar]:
    """Bars for the nodes that failed, with their words; `records` = the last bar of each node.

    Twice as long as the last one, unless the node has done well since then for as long as that.
    """
    return {node_id: _bar(why, records.get(node_id), now_s) for node_id, why in failed.items()}


def _bar(why: str, last: Bar | None, now_s: float) -> Bar:
    is_first = last is None or now_s > last.until_s + last.length_s
    length_s = BAR_S if last is None or is_first else min(2 * last.length_s, MAX_BAR_S)
    return Bar(why=why, since_s=now_s, until_s=now_s + length_s)


def still_barred(
    bars: Mapping[NodeId, Bar], ready: Collection[NodeId], *, now_s: float
) -> dict[NodeId, Bar]:
    """The bars that hold: a node that went and came back, or served its time, gets another chance."""
    return {node: one for node, one in bars.items() if node in ready and now_s < one.until_s}
