"""Keeps measured capabilities on disk; a file that cannot be used is removed and measured again."""

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import astuple
from pathlib import Path

from mesh.device.capability import Capability, Conditions, from_document, to_document
from mesh.errors import DeviceError

_MAX_FILE_BYTES = 1 << 20


class CapabilityCache:
    """One JSON file for each set of conditions."""

    def __init__(self, folder: Path) -> None:
        """The folder is made when the first capability is kept."""
        self._folder = folder

    def get(self, conditions: Conditions, boundaries: tuple[int, ...]) -> Capability | None:
        """What was measured under these conditions for these boundaries, or None."""
        file = self._file(conditions)
        try:
            capability = from_document(json.loads(_read(file)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError, DeviceError):
            self._remove(file)
            return None
        if capability.conditions != conditions:
            self._remove(file)
            return None
        return capability if capability.boundaries == boundaries else None

    def put(self, capability: Capability) -> None:
        """Keep it, in place of an older one. Raises: DeviceError when the disk refuses."""
        text = json.dumps(to_document(capability))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _write(self._file(capability.conditions), text)
        except OSError as error:
            raise DeviceError(f"a measurement cannot be kept in {self._folder}: {error}") from error

    def _file(self, conditions: Conditions) -> Path:
        key = json.dumps(astuple(conditions)).encode()
        return self._folder / f"{hashlib.sha256(key).hexdigest()[:32]}.json"

    def _remove(self, file: Path) -> None:
        with contextlib.suppress(OSError):
            file.unlink()


def _read(file: Path) -> str:
    with file.open("rb") as stream:
        raw = stream.read(_MAX_FILE_BYTES + 1)
    if len(raw) > _MAX_FILE_BYTES:
        raise ValueError("too long")
    return raw.decode("utf-8")


def _write(file: Path, text: str) -> None:
    """Atomically: a power cut leaves the old file or the new one."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, file)  # noqa: PTH105 - the name came as text
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        raise
