"""Whether this node is to be left empty, kept in the data directory: a restart changes nothing about it."""

import contextlib
from pathlib import Path

from mesh.errors import StoreError
from mesh.wire.documents import NodeState

_FILE = "draining"


class DrainMark:
    """A file that is there or not."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / _FILE

    @property
    def state(self) -> NodeState:
        """What the node is as soon as it is up."""
        return NodeState.DRAINING if self.is_set else NodeState.READY

    @property
    def is_set(self) -> bool:
        return self._file.exists()

    def put(self, *, is_set: bool) -> None:
        """Raises: StoreError."""
        try:
            if is_set:
                self._file.touch()
            else:
                with contextlib.suppress(FileNotFoundError):
                    self._file.unlink()
        except OSError as error:
            raise StoreError(
                f"{self._file} cannot be changed ({error.strerror}): see to the data directory"
            ) from error
