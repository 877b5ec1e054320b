"""An announcement as the TXT strings of its service (RFC 6763 §6) and back; all that comes is hostile.

v = protocol version · id = node id · boot = boot id · name = for people · mesh = mesh name ·
broker = URL at which the node is reached
"""

import re
from collections.abc import Mapping

from mesh.errors import RemoteError, UsageError
from mesh.fleet.broker_url import parse_broker_url
from mesh.fleet.discovery import PROTOCOL_VERSION, Announcement
from mesh.ids import BootId, NodeId

MAX_NAME_CHARS = 32
_NODE_ID = re.compile(r"[0-9a-f]{16}")
_BOOT_ID = re.compile(r"[0-9a-f]{8}")
_MESH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_VERSION = re.compile(r"[0-9]{1,4}")


class OtherVersionError(RemoteError):
    """A node of the same service that speaks another protocol version."""


def encode(announcement: Announcement) -> dict[str, str]:
    """Return the strings to announce."""
    return {
        "v": str(PROTOCOL_VERSION),
        "id": announcement.node_id,
        "boot": announcement.boot_id,
        "name": announcement.name,
        "mesh": announcement.mesh_name,
        "broker": announcement.broker_url,
    }


def decode(strings: Mapping[bytes, bytes | None]) -> Announcement:
    """Raises: OtherVersionError, RemoteError that names the first unsound string."""
    version = _matching(strings, "v", _VERSION)
    if int(version) != PROTOCOL_VERSION:
        raise OtherVersionError(f"it speaks protocol version {version}, this is {PROTOCOL_VERSION}")
    node_id = _matching(strings, "id", _NODE_ID)
    return Announcement(
        node_id=NodeId(node_id),
        boot_id=BootId(_matching(strings, "boot", _BOOT_ID)),
        name=clean(_text(strings, "name"), MAX_NAME_CHARS) or node_id,
        mesh_name=_matching(strings, "mesh", _MESH_NAME),
        broker_url=_broker_url(strings),
    )


def clean(text: str, max_chars: int) -> str:
    """Return text that may be printed on one line of a terminal."""
    return "".join(one for one in text if one.isprintable())[:max_chars].strip()


def _broker_url(strings: Mapping[bytes, bytes | None]) -> str:
    try:
        return str(parse_broker_url(_text(strings, "broker")))
    except UsageError as error:
        raise RemoteError("its TXT string 'broker' is no broker URL") from error


def _matching(strings: Mapping[bytes, bytes | None], key: str, pattern: re.Pattern[str]) -> str:
    value = _text(strings, key)
    if not pattern.fullmatch(value):
        raise RemoteError(f"its TXT string {key!r} is {clean(value, 40)!r}")
    return value


def _text(strings: Mapping[bytes, bytes | None], key: str) -> str:
    # A string has at most 255 bytes, by its length byte; an absent one reads as empty.
    return (strings.get(key.encode()) or b"").decode("utf-8", errors="replace")
