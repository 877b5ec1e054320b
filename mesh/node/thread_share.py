"""How many threads this node's interpreters may have: as configured, else its share of the machine's cores."""

from collections.abc import Collection

from mesh.device.threads import most_threads
from mesh.fleet.view import View
from mesh.ids import NodeId


class ThreadShare:
    """On the loop's thread, but for `most`. The share only ever shrinks.

    Nodes that come and go would otherwise have every model measured again each time.
    """

    def __init__(self, *, configured: int, cores: int) -> None:
        """`configured` 0 = the best number, by measurement."""
        self.configured = configured
        self._cores = cores
        self.most = most_threads(configured, cores)

    @property
    def unmeasured(self) -> int:
        """The threads of a model that was not measured yet."""
        return self.configured or 1

    def see(self, view: View, present: Collection[NodeId], me: NodeId) -> None:
        """Count the nodes on this machine."""
        mine = view[me].advert if me in view else None
        if mine is None or not mine.host_id:
            return
        adverts = [view[node_id].advert for node_id in {me, *present} if node_id in view]
        nodes = sum(one is not None and one.host_id == mine.host_id for one in adverts)
        self.most = min(self.most, most_threads(self.configured, self._cores, nodes))

    def is_exceeded_by(self, threads: int) -> bool:
        """Whether a model was measured with more threads than it may have by now."""
        return threads > self.most
