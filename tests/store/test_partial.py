import hashlib

import pytest

from mesh.errors import StoreError
from mesh.ids import ModelId
from mesh.store.disk import ModelStore
from mesh.store.partial import PartialModel
from mesh.store.pieces import PieceBoard

CONTENT = b"0123456789"
MODEL_ID = ModelId(hashlib.sha256(CONTENT).hexdigest())


def board(piece_bytes: int = 4, size_bytes: int = 10) -> PieceBoard:
    return PieceBoard(size_bytes=size_bytes, piece_bytes=piece_bytes, peers=("a",))


def test_a_partial_model_goes_on_where_it_ended(store: ModelStore) -> None:
    partial = PartialModel(store, MODEL_ID, board())
    partial.write(board().piece(1), CONTENT[4:8])
    partial.close()
    again = board()
    partial = PartialModel(store, MODEL_ID, again)
    assert again.sources == [None, "", None]
    partial.write(board().piece(0), CONTENT[:4])
    assert not partial.is_sound()
    partial.write(board().piece(2), CONTENT[8:])
    assert partial.is_sound()
    partial.keep()
    partial.close()
    assert store.path(MODEL_ID).read_bytes() == CONTENT
    assert not any(path.exists() for path in store.partial_paths(MODEL_ID))


@pytest.mark.parametrize("other", [board(piece_bytes=5), board(size_bytes=11)])
def test_pieces_of_another_size_begin_anew(store: ModelStore, other: PieceBoard) -> None:
    partial = PartialModel(store, MODEL_ID, board())
    partial.write(board().piece(0), CONTENT[:4])
    partial.close()
    PartialModel(store, MODEL_ID, other).close()
    assert set(other.sources) == {None}


def test_a_broken_note_begins_anew(store: ModelStore) -> None:
    PartialModel(store, MODEL_ID, board()).close()
    store.partial_paths(MODEL_ID)[1].write_bytes(b"junk")
    again = board()
    PartialModel(store, MODEL_ID, again).close()
    assert set(again.sources) == {None}


def test_forgotten_pieces_stay_forgotten(store: ModelStore) -> None:
    pieces = board()
    partial = PartialModel(store, MODEL_ID, pieces)
    partial.write(pieces.piece(0), CONTENT[:4])
    partial.forget(pieces)
    partial.close()
    again = board()
    PartialModel(store, MODEL_ID, again).close()
    assert set(again.sources) == {None}


def test_discarding_removes_both_files(store: ModelStore) -> None:
    partial = PartialModel(store, MODEL_ID, board())
    partial.discard()
    partial.close()
    assert not any(path.exists() for path in store.partial_paths(MODEL_ID))


def test_the_manifests_size_is_held_against_the_limit(store: ModelStore) -> None:
    with pytest.raises(StoreError, match="max_model_bytes"):
        PartialModel(store, MODEL_ID, board(size_bytes=1 << 21))
