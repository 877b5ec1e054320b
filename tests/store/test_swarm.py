import hashlib
import socket
from collections.abc import Callable

import pytest

from mesh.errors import StoreError
from mesh.ids import ModelId
from mesh.store.disk import ModelStore
from mesh.store.partial import PartialModel
from mesh.store.pieces import PieceBoard
from mesh.store.swarm import FetchOptions, Swarm, Watcher

PeerMaker = Callable[[Callable[[socket.socket, int, int], None]], str]

CONTENT = b"x" * 100
MODEL_ID = ModelId(hashlib.sha256(CONTENT).hexdigest())
OPTIONS = FetchOptions(piece_bytes=30, silence_s=1)


def serve(connection: socket.socket, start: int, stop: int) -> None:
    head = f"HTTP/1.1 206 OK\r\nContent-Length: {stop - start}\r\nContent-Range: bytes {start}-{stop - 1}/100\r\n\r\n"
    connection.sendall(head.encode() + CONTENT[start:stop])


def quiet(_done: int, _total: int) -> None:
    pass


def test_all_pieces_arrive_with_their_digests(store: ModelStore, odd_peer: PeerMaker) -> None:
    board = PieceBoard(size_bytes=100, piece_bytes=30, peers=("a",))
    partial = PartialModel(store, MODEL_ID, board)
    swarm = Swarm(MODEL_ID, {"a": odd_peer(serve)}, board, partial, OPTIONS)
    swarm.download(Watcher(on_progress=quiet, is_cancelled=lambda: False))
    partial.close()
    assert board.is_complete
    assert swarm.received_bytes == {"a": 100}
    assert swarm.digests[3] == hashlib.sha256(b"x" * 10).digest()
    assert not swarm.is_stopped


def test_a_full_disk_stops_everybody(store: ModelStore, odd_peer: PeerMaker) -> None:
    board = PieceBoard(size_bytes=100, piece_bytes=30, peers=("a", "b"))

    class FullDisk(PartialModel):
        def write(self, piece: object, data: object) -> None:
            raise StoreError("Writing failed: the disk is full")

    partial = FullDisk(store, MODEL_ID, board)
    url = odd_peer(serve)
    swarm = Swarm(MODEL_ID, {"a": url, "b": url}, board, partial, OPTIONS)
    with pytest.raises(StoreError, match="disk is full"):
        swarm.download(Watcher(on_progress=quiet, is_cancelled=lambda: False))
    partial.close()
    assert swarm.is_stopped


def test_an_error_of_the_watcher_ends_the_threads(store: ModelStore, odd_peer: PeerMaker) -> None:
    board = PieceBoard(size_bytes=100, piece_bytes=30, peers=("a",))
    partial = PartialModel(store, MODEL_ID, board)
    swarm = Swarm(
        MODEL_ID,
        {"a": odd_peer(lambda connection, *_: connection.recv(1) and None)},
        board,
        partial,
        OPTIONS,
    )

    def broken(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        swarm.download(Watcher(on_progress=broken, is_cancelled=lambda: False))
    partial.close()
