"""Which of the few HTTP requests that a node serves this is: paths and ranges, parsed strictly. Pure."""

import re
from dataclasses import dataclass
from enum import Enum

from mesh.ids import ModelId

_PATH = re.compile(r"/(models|golden)/([0-9a-f]{64})")
_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")


class Collection(Enum):
    MODELS = "models"
    GOLDEN = "golden"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    collection: Collection
    model_id: ModelId

    @property
    def path(self) -> str:
        return f"/{self.collection.value}/{self.model_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """Bytes [start, stop) of a file."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class UnsatisfiableRangeError(ValueError):
    """A range that begins behind the end (RFC 9110, section 15.5.17)."""


def parse_path(target: str) -> Resource | None:
    """Return what the path names; None for every other path, however it is spelled."""
    match = _PATH.fullmatch(target)
    if match is None:
        return None
    return Resource(collection=Collection(match[1]), model_id=ModelId(match[2]))


def parse_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """Return the one range asked for; None when the whole is to be sent (RFC 9110, section 14.2).

    Several ranges and other units are ignored, as the RFC allows. Raises: UnsatisfiableRangeError.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        start, stop = max(0, size_bytes - int(match[2])), size_bytes
    else:
        start = int(match[1])
        stop = min(int(match[2]) + 1, size_bytes) if match[2] else size_bytes
        if match[2] and int(match[2]) < start:
            return None
    if start >= size_bytes:
        raise UnsatisfiableRangeError
    return ByteRange(start=start, stop=stop)


def parse_length(header: str | None) -> int | None:
    """Return a Content-Length; None when missing or not a plain number (RFC 9110, section 8.6)."""
    if header is None or re.fullmatch(r"[0-9]{1,18}", header.strip()) is None:
        return None
    return int(header)
