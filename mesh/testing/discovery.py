"""Service discovery in memory: everybody on one `MemorySegment` hears everybody; no sockets, no time."""

from collections.abc import Callable

from mesh.fleet.discovery import Announcement
from mesh.ids import NodeId
from mesh.testing.mailbox import Mailbox


class MemorySegment:
    """One network segment: what is announced on it, and who listens."""

    def __init__(self) -> None:
        self._mailbox = Mailbox()
        self._announced: dict[NodeId, Announcement] = {}
        self._listeners: list[MemoryDiscovery] = []

    def discovery(self) -> "MemoryDiscovery":
        """Make one process's adapter."""
        return MemoryDiscovery(self)

    def announce(self, announcement: Announcement) -> None:
        if self._announced.get(announcement.node_id) == announcement:
            return
        self._announced[announcement.node_id] = announcement
        for listener in self._listeners:
            self._tell(listener, announcement)
        self._mailbox.deliver()

    def withdraw(self, node_id: NodeId) -> None:
        self._announced.pop(node_id, None)

    def listen(self, listener: "MemoryDiscovery") -> None:
        self._listeners.append(listener)
        for announcement in self._announced.values():
            self._tell(listener, announcement)
        self._mailbox.deliver()

    def leave(self, listener: "MemoryDiscovery") -> None:
        self._listeners = [one for one in self._listeners if one is not listener]

    def _tell(self, listener: "MemoryDiscovery", announcement: Announcement) -> None:
        self._mailbox.put(lambda: listener.hear(announcement))


class MemoryDiscovery:
    """Implements `Discovery`."""

    def __init__(self, segment: MemorySegment) -> None:
        self._segment = segment
        self._announced: NodeId | None = None
        self._on_found: Callable[[Announcement], None] | None = None
        self._closed = False

    def announce(self, announcement: Announcement) -> None:
        if not self._closed:
            self._announced = announcement.node_id
            self._segment.announce(announcement)

    def browse(self, on_found: Callable[[Announcement], None]) -> None:
        self._on_found = on_found
        self._segment.listen(self)

    def hear(self, announcement: Announcement) -> None:
        """Report one announcement; the segment calls this."""
        if self._on_found is not None and not self._closed:
            self._on_found(announcement)

    def close(self) -> None:
        self._closed = True
        self._segment.leave(self)
        if self._announced is not None:
            self._segment.withdraw(self._announced)
            self._announced = None

    def vanish(self) -> None:
        """End as a process that is killed: what it announced stays known."""
        self._announced = None
        self.close()
