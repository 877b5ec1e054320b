"""What the mesh asks of service discovery: a hint who may be there, never a word on who is gone."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from time import monotonic
from typing import Protocol

from mesh.ids import BootId, NodeId

PROTOCOL_VERSION = 1
SERVICE_TYPE = "_edgemesh._tcp.local."
SETTLE_S = 0.3  # after the first answer: others answer within 0.02–0.12 s (RFC 6762 §6)

MAX_FOUND = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a node says of itself over mDNS; everything else it says over MQTT."""

    node_id: NodeId
    boot_id: BootId
    name: str
    mesh_name: str
    broker_url: str


class Discovery(Protocol):
    """Announces this node and hears of others; callbacks come on a thread of the adapter."""

    def announce(self, announcement: Announcement) -> None:
        """Make this known, in place of what was announced before; returns at once."""
        ...

    def browse(self, on_found: Callable[[Announcement], None]) -> None:
        """Report every sound announcement, also of this process's own node, and each change of one.

        Called once. A node that says goodbye and comes back is reported again.
        """
        ...

    def close(self) -> None:
        """Say goodbye and stop; harmless when called again."""
        ...


def gather(
    discovery: Discovery, *, mesh_name: str, timeout_s: float, settle_s: float = SETTLE_S
) -> list[Announcement]:
    """Browse until nothing new of this mesh has come for `settle_s`; [] when none came in time.

    Sorted by node id; the newest word of each node.
    """
    found: dict[NodeId, Announcement] = {}
    changed = Condition()
    deadline_s = monotonic() + timeout_s

    def on_found(announcement: Announcement) -> None:
        if announcement.mesh_name == mesh_name and len(found) < MAX_FOUND:
            with changed:
                found[announcement.node_id] = announcement
                changed.notify()

    with changed:
        discovery.browse(on_found)
        if found or changed.wait(timeout_s):
            while changed.wait(min(settle_s, deadline_s - monotonic())):
                pass
        return [found[node_id] for node_id in sorted(found)]
