"""What a coordinator says that it believes of others, where that is not what they measured."""

from dataclasses import dataclass

from mesh.ids import ModelId, NodeId
from mesh.wire.measured import MAX_TIME_S, Link, check_times


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePace:
    """A node that is taken to be `slowness` times slower with a model than it was first measured.

    `whole_s` is what the whole model takes it then, 0 = not told. `is_due` = it should measure itself
    again, if it runs nothing.
    """

    model_id: ModelId
    node_id: NodeId
    slowness: float
    is_due: bool = False
    whole_s: float = 0.0

    def __post_init__(self) -> None:
        check_slowness("a node", self.slowness)
        check_times("what a model takes a node", (self.whole_s,))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPace:
    """A link from `node_id` that is taken to be as `link` says: `slowness` times slower than it was at first."""

    model_id: ModelId
    node_id: NodeId
    link: Link
    slowness: float

    def __post_init__(self) -> None:
        check_slowness("a link", self.slowness)


def check_slowness(what: str, slowness: float) -> None:
    """Raises: ValueError."""
    if not 0 < slowness <= MAX_TIME_S:
        raise ValueError(f"{what} is more than 0 times slower, and at most {MAX_TIME_S:.0f}")
