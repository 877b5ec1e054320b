"""A file that is being written: hashed as it grows, bounded, and visible under its name only when whole.

Every OSError becomes a StoreError that says what to do; what was there before stays.
"""

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from mesh.errors import StoreError

FreeBytes = Callable[[Path], int]
RESERVE_BYTES = 16 << 20  # left free for logs and the system


@contextlib.contextmanager
def mapped_os_errors(doing: str) -> Iterator[None]:
    """Turn an OSError into a StoreError of one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StoreError(
                f"{doing} failed: the disk is full; free some space and try again"
            ) from error
        reason = error.strerror or type(error).__name__
        raise StoreError(f"{doing} failed: {reason}; check the disk and its permissions") from error


def check_free(folder: Path, size_bytes: int, free_bytes: FreeBytes) -> None:
    """Raises: StoreError unless `size_bytes` fit with the reserve."""
    with mapped_os_errors(f"Looking for free space in {folder}"):
        free = free_bytes(folder)
    if size_bytes + RESERVE_BYTES > free:
        raise StoreError(
            f"{folder} has {free >> 20} MiB free and {(size_bytes + RESERVE_BYTES) / (1 << 20):.0f} MiB "
            "are needed; free some space and try again"
        )


@contextlib.contextmanager
def receiving(folder: Path, *, max_bytes: int) -> "Iterator[IncomingFile]":
    """Begin a temporary file in the folder of its destination; it is removed unless kept."""
    with mapped_os_errors(f"Writing in {folder}"):
        handle, name = tempfile.mkstemp(suffix=".tmp", dir=folder)
    file = os.fdopen(handle, "wb")
    try:
        yield IncomingFile(file, Path(name), max_bytes=max_bytes)
    finally:
        with contextlib.suppress(OSError):  # a full disk may refuse the last buffer once more
            file.close()
        with contextlib.suppress(OSError):
            Path(name).unlink()


class IncomingFile:
    """What `receiving` gives: append to it, then keep it."""

    def __init__(self, file: BinaryIO, path: Path, *, max_bytes: int) -> None:
        self._file = file
        self._path = path
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def fileno(self) -> int:
        return self._file.fileno()

    def write(self, data: bytes | memoryview) -> None:
        """Append. Raises: StoreError when it gets longer than allowed or the disk is full."""
        self._size_bytes += len(data)
        if self._size_bytes > self._max_bytes:
            raise StoreError(f"More than {self._max_bytes} bytes: too large for this store")
        with mapped_os_errors(f"Writing in {self._path.parent}"):
            self._file.write(data)
        self._hash.update(data)

    def sha256(self) -> str:
        return self._hash.hexdigest()

    def keep(self, destination: Path) -> None:
        """Give the file its name for good: it is on the disk when this returns."""
        with mapped_os_errors(f"Writing {destination}"):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.replace(destination)
            sync_folder(destination.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(destination: Path, content: bytes) -> None:
    """Replace a small file in one step. Raises: StoreError."""
    with receiving(destination.parent, max_bytes=len(content)) as file:
        file.write(content)
        file.keep(destination)
