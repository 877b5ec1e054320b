"""What the mesh asks of service discovery: a hint who may be there, never a word on who is gone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mesh.ids import BootId, NodeId

PROTOCOL_VERSION = 1
SERVICE_TYPE = "_edgemesh._tcp.local."


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

    def announce(self, announcement: Announcement) -> None: ...

    def browse(self, on_found: Callable[[Announcement], None]) -> None:
        """Report every sound announcement, also of this process's own node, and each change of one."""
        ...

    def close(self) -> None:
        """Say goodbye and stop; harmless when called again."""
        ...
