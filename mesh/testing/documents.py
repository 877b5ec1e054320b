"""Sample documents as nodes publish them, to be changed where a test cares."""

from dataclasses import replace
from typing import Any

from mesh.ids import BootId, NodeId
from mesh.wire.documents import Advert

_ADVERT = Advert(
    node_id=NodeId("0" * 16),
    boot_id=BootId("0" * 8),
    name="node",
    mesh_name="default",
    version="1",
    board="",
    board_label="",
    runtime="litert",
    runtime_version="2.3.0",
    kernel_class="k",
    broker_url="mqtt://a:1883",
    broker_kind="mosquitto",
    http_url="http://a:80",
    host_id="host",
    host_cores=4,
    threads=4,
    memory_bytes=1000,
)


def sample_advert(node_id: NodeId, **changes: Any) -> Advert:
    """What a healthy node says of itself, but for the `changes` by field."""
    return replace(_ADVERT, node_id=node_id, **changes)
