"""The interpreters of a stage whose slice remembers what it ran: one for each session, none for two.

A fresh one always waits for the next session; who may have one is decided elsewhere. On the
stage's own thread, but for `close`.
"""

from mesh.errors import SessionLostError
from mesh.ids import SessionKey
from mesh.runtime.port import LoadedSlice


class OwnInterpreters:
    """Holds what sessions use; the fresh interpreter is the caller's until it is taken."""

    def __init__(self) -> None:
        self._of: dict[SessionKey, LoadedSlice] = {}

    def __len__(self) -> int:
        return len(self._of)

    @property
    def resident_bytes(self) -> int:
        return sum(one.resident_bytes for one in list(self._of.values()))

    def give(self, key: SessionKey, fresh: LoadedSlice) -> LoadedSlice:
        """Let a session that begins have the fresh interpreter."""
        self._of[key] = fresh
        return fresh

    def find(self, key: SessionKey) -> LoadedSlice:
        """Raises: SessionLostError."""
        if key not in self._of:
            raise SessionLostError("its interpreter is gone")
        return self._of[key]

    def drop(self, key: SessionKey) -> None:
        """End the interpreter of a session, if it has one."""
        owned = self._of.pop(key, None)
        if owned is not None:
            owned.close()

    def close(self) -> None:
        """End all; from any thread."""
        for key in list(self._of):
            self.drop(key)
