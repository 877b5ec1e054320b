"""A model that is being fetched: its bytes so far and which pieces they are, so that a fetch can go on later.

Two files in the store's `partial` folder: `<id>.part`, as long as the model, and `<id>.pieces`:
u64 piece size, then one byte per piece, 1 once that piece is on the disk.
"""

import os
import struct
from pathlib import Path

from mesh.ids import ModelId
from mesh.store.disk import ModelStore, hash_file
from mesh.store.incoming import mapped_os_errors, sync_folder
from mesh.store.pieces import Piece, PieceBoard

_HEAD = struct.Struct("<Q")


class PartialModel:
    """The two files of one fetch; closing keeps them for the next one."""

    def __init__(self, store: ModelStore, model_id: ModelId, board: PieceBoard) -> None:
        """Open or begin them, and tell the board what is there. Raises: StoreError: no room."""
        self._store = store
        self._model_id = model_id
        self._part_path, self._pieces_path = store.partial_paths(model_id)
        with mapped_os_errors(f"Reading {self._part_path}"):
            is_there = self._part_path.exists()
            allocated_bytes = self._part_path.stat().st_blocks * 512 if is_there else 0
        store.check_room(board.size_bytes, allocated_bytes=allocated_bytes)
        with mapped_os_errors(f"Writing {self._part_path}"):
            self._part = _open(self._part_path)
            self._pieces = _open(self._pieces_path)
            if not self._resume(board):
                self._begin(board)

    def write(self, piece: Piece, data: bytes | bytearray) -> None:
        """Put a piece on the disk, then note that it is there. Raises: StoreError."""
        with mapped_os_errors(f"Writing {self._part_path}"):
            offset, view = piece.start, memoryview(data)
            while view:
                written = os.pwrite(self._part, view, offset)
                offset, view = offset + written, view[written:]
            os.fdatasync(self._part)
            os.pwrite(self._pieces, b"\1", _HEAD.size + piece.index)

    def forget(self, board: PieceBoard) -> None:
        """Note again which pieces are there, as the board says."""
        marks = bytes(source is not None for source in board.sources)
        with mapped_os_errors(f"Writing {self._pieces_path}"):
            os.pwrite(self._pieces, marks, _HEAD.size)

    def is_sound(self) -> bool:
        """Whether the whole file has the model's content id."""
        return hash_file(self._part_path) == self._model_id

    def keep(self) -> None:
        """Make the file a model of the store. Raises: StoreError."""
        destination = self._store.model_path(self._model_id)
        with mapped_os_errors(f"Writing {destination}"):
            os.fsync(self._part)
            self._part_path.replace(destination)
            sync_folder(destination.parent)
            self._pieces_path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove both files."""
        with mapped_os_errors(f"Removing {self._part_path}"):
            self._part_path.unlink(missing_ok=True)
            self._pieces_path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._part)
        os.close(self._pieces)

    def _resume(self, board: PieceBoard) -> bool:
        expected_bytes = _HEAD.size + len(board.sources)
        noted = os.pread(self._pieces, expected_bytes + 1, 0)
        if len(noted) != expected_bytes or os.fstat(self._part).st_size != board.size_bytes:
            return False
        if _HEAD.unpack_from(noted)[0] != board.piece_bytes:
            return False
        for index, mark in enumerate(noted[_HEAD.size :]):
            if mark == 1:
                board.resume(index)
        return True

    def _begin(self, board: PieceBoard) -> None:
        os.ftruncate(self._pieces, 0)
        os.ftruncate(self._part, 0)
        os.ftruncate(self._part, board.size_bytes)
        os.pwrite(self._pieces, _HEAD.pack(board.piece_bytes) + bytes(len(board.sources)), 0)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
