"""Who this node is: an id drawn once and kept in the data directory, which one node has for itself."""

import fcntl
import os
import re
import secrets
import socket
from pathlib import Path

from mesh.errors import StoreError, UsageError
from mesh.ids import BootId, NodeId

_NODE_ID = re.compile(r"[0-9a-f]{16}")
_MDNS_GROUP = ("224.0.0.251", 5353)  # RFC 6762, 3: nothing is sent, it only picks an interface


def claim(data_dir: Path) -> int:
    """Take the data directory for this process; the descriptor holds it. Raises: UsageError, StoreError."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"the data directory {data_dir} cannot be used: {error.strerror}; name another with --data-dir"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise UsageError(
            f"another node runs with the data directory {data_dir}: name another with --data-dir"
        ) from error
    return descriptor


def node_id(data_dir: Path) -> NodeId:
    """Read the node's id, or draw it. Raises: StoreError."""
    file = data_dir / "node_id"
    try:
        if file.exists():
            found = file.read_text(encoding="ascii", errors="replace").strip()
            if _NODE_ID.fullmatch(found):
                return NodeId(found)
        drawn = NodeId(secrets.token_hex(8))
        temporary = file.with_suffix(".new")
        temporary.write_text(drawn + "\n", encoding="ascii")
        temporary.replace(file)
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}") from error
    return drawn


def draw_boot_id() -> BootId:
    """A new life's id."""
    return BootId(secrets.token_hex(4))


def reachable_host(*, advertise: str, bind: str) -> str:
    """The address that others are told: as configured, else that of the multicast interface."""
    if advertise:
        return advertise
    if bind and bind not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return bind
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_MDNS_GROUP)
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
