"""Reads and moves the files packed behind a model: a zip archive after the flatbuffer, read within bounds.

How the archive got there and what its files mean is not decided here.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from mesh.errors import InvalidModelError, UnsupportedModelError

MAX_FILES = 256
MAX_DIRECTORY_BYTES = 256 << 10
MAX_FILE_BYTES = 1 << 20

# APPNOTE.TXT 4.3.16, 4.3.12, 4.3.7: end of central directory, its entries, local headers.
_END = struct.Struct("<4s4H2IH")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_ENTRY_OFFSET_AT = 42
_END_OFFSET_AT = 16
_MAX_COMMENT_BYTES = (1 << 16) - 1
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """`at` is where its local header lies in the file, `listed_at` where its entry does."""

    name: str
    method: int
    packed_bytes: int
    size_bytes: int
    at: int
    listed_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The files behind a flatbuffer; `start` is where the first lies, `shift` what offsets lack."""

    file: memoryview
    start: int
    shift: int
    end_at: int
    entries: tuple[_Entry, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.entries)

    def read(self, name: str) -> bytes:
        """A file's content. Raises: InvalidModelError, UnsupportedModelError when it is too large."""
        entry = next((entry for entry in self.entries if entry.name == name), None)
        if entry is None:
            raise InvalidModelError(f"the model's metadata names {name!r:.80}, which it lacks")
        size_bytes = max(entry.size_bytes, entry.packed_bytes)
        if size_bytes > MAX_FILE_BYTES:
            raise UnsupportedModelError(
                f"the model's file {name!r:.80} has {size_bytes} bytes; the limit is {MAX_FILE_BYTES}"
            )
        return _unpack(self.file, entry)

    def moved(self, start: int) -> tuple[bytes | memoryview, ...]:
        """The archive as pieces that begin at `start` of another file."""
        tail = bytearray(self.file[self.start :])
        if self.shift == 0:  # offsets count from the file's start, not from the archive's
            by = start - self.start
            for entry in self.entries:
                _add(tail, entry.listed_at - self.start + _ENTRY_OFFSET_AT, by)
            _add(tail, self.end_at - self.start + _END_OFFSET_AT, by)
        return (bytes(tail),)


def find_archive(file: memoryview) -> Archive | None:
    """The archive at the file's end; None when there is none.

    Raises: InvalidModelError for a damaged one, UnsupportedModelError for one beyond the limits.
    """
    tail_at = max(0, len(file) - _END.size - _MAX_COMMENT_BYTES)
    at = bytes(file[tail_at:]).rfind(b"PK\x05\x06")
    if at < 0 or tail_at + at + _END.size > len(file):
        return None
    end_at = tail_at + at
    _, disk, first_disk, here, count, size_bytes, offset, comment = _END.unpack_from(file, end_at)
    if end_at + _END.size + comment != len(file) or disk or first_disk or here != count:
        return None  # bytes of a weight that look like it
    if count > MAX_FILES or size_bytes > MAX_DIRECTORY_BYTES:
        raise UnsupportedModelError(
            f"the model has {count} files packed behind it; the limit is {MAX_FILES}"
        )
    shift = end_at - size_bytes - offset
    if shift < 0:
        raise InvalidModelError("the files packed behind the model are damaged: pack them anew")
    entries = tuple(_entries(file, end_at - size_bytes, end_at, count, shift))
    start = min((entry.at for entry in entries), default=end_at - size_bytes)
    return Archive(file=file, start=start, shift=shift, end_at=end_at, entries=entries)


def _entries(file: memoryview, at: int, end_at: int, count: int, shift: int) -> Iterator[_Entry]:
    for _ in range(count):
        if at + _ENTRY.size > end_at:
            raise InvalidModelError("the list of files packed behind the model is cut short")
        fields = _ENTRY.unpack_from(file, at)
        if fields[0] != b"PK\x01\x02":
            raise InvalidModelError("the list of files packed behind the model is damaged")
        flags, method, packed_bytes, size_bytes = fields[3], fields[4], fields[8], fields[9]
        name_bytes, extra_bytes, comment_bytes, local_at = *fields[10:13], fields[16] + shift
        if local_at + _LOCAL.size + packed_bytes > end_at or flags & _ENCRYPTED:
            raise InvalidModelError("a file packed behind the model lies outside of it")
        yield _Entry(
            name=bytes(file[at + _ENTRY.size : at + _ENTRY.size + name_bytes]).decode(
                "utf-8", "replace"
            ),
            method=method,
            packed_bytes=packed_bytes,
            size_bytes=size_bytes,
            at=local_at,
            listed_at=at,
        )
        at += _ENTRY.size + name_bytes + extra_bytes + comment_bytes


def _unpack(file: memoryview, entry: _Entry) -> bytes:
    header = _LOCAL.unpack_from(file, entry.at)
    start = entry.at + _LOCAL.size + header[9] + header[10]
    packed = bytes(file[start : start + entry.packed_bytes])
    if header[0] == b"PK\x03\x04" and entry.method == _STORED:
        content = packed
    elif header[0] == b"PK\x03\x04" and entry.method == _DEFLATED:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, entry.size_bytes + 1)
        except zlib.error as error:
            raise InvalidModelError(f"the model's file {entry.name!r:.80} is damaged") from error
    else:
        raise UnsupportedModelError(f"the model's file {entry.name!r:.80} is packed in another way")
    if len(content) != entry.size_bytes:
        raise InvalidModelError(f"the model's file {entry.name!r:.80} is damaged")
    return content


def _add(tail: bytearray, at: int, by: int) -> None:
    offset = struct.unpack_from("<I", tail, at)[0] + by
    if not 0 <= offset < 1 << 32:
        raise UnsupportedModelError("the files packed behind the model lie beyond 4 GiB")
    struct.pack_into("<I", tail, at, offset)
