import hashlib
import os
from pathlib import Path

import pytest

from mesh.errors import IntegrityError, RemoteError, StoreError
from mesh.ids import ModelId
from mesh.store.catalogue import Catalogue
from mesh.store.disk import ModelStore, StoredModel

CONTENT = b"TFL3" * 1000
MODEL_ID = ModelId(hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.tflite"
    path.write_bytes(CONTENT)
    return path


def test_a_model_is_found_by_its_content_id(store: ModelStore, source: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert store.add_file(source, lambda done, total: seen.append((done, total))) == MODEL_ID
    assert store.has(MODEL_ID)
    assert store.path(MODEL_ID).read_bytes() == CONTENT
    assert store.list_models() == (StoredModel(model_id=MODEL_ID, size_bytes=4000),)
    assert seen[-1] == (4000, 4000)
    assert store.add_file(source) == MODEL_ID
    store.verify(MODEL_ID)


def test_what_is_not_there_is_said(store: ModelStore, tmp_path: Path) -> None:
    assert not store.has(MODEL_ID)
    with pytest.raises(StoreError, match="fetch it from a peer"):
        store.path(MODEL_ID)
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(StoreError):
            store.add_file(path)
    with pytest.raises(StoreError):
        store.read_golden(MODEL_ID)


def test_ids_cannot_leave_the_folder(store: ModelStore) -> None:
    for bad in ("../../x", "", "a" * 63 + "/"):
        for use in (store.has, store.path, store.remove, store.golden_path):
            with pytest.raises(RemoteError):
                use(ModelId(bad))


def test_removing_removes_all_of_it(store: ModelStore, source: Path, tmp_path: Path) -> None:
    store.add_file(source)
    store.write_golden(MODEL_ID, [b"out"])
    store.partial_paths(MODEL_ID)[0].write_bytes(b"x")
    store.remove(MODEL_ID)
    store.remove(MODEL_ID)
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_a_damaged_file_is_detected(store: ModelStore, source: Path) -> None:
    store.add_file(source)
    with store.path(MODEL_ID).open("r+b") as file:
        file.write(b"oops")
    with pytest.raises(IntegrityError, match="damaged"):
        store.verify(MODEL_ID)


def test_too_large_models_are_refused(tmp_path: Path, source: Path) -> None:
    store = ModelStore(tmp_path / "small", max_model_bytes=3999)
    with pytest.raises(StoreError, match="3999"):
        store.add_file(source)
    source.write_bytes(b"")
    with pytest.raises(StoreError, match="0 bytes"):
        store.add_file(source)


def test_a_full_disk_is_seen_before_and_nothing_is_lost(tmp_path: Path, source: Path) -> None:
    free = [1 << 30]
    store = ModelStore(tmp_path / "s", max_model_bytes=1 << 20, free_bytes=lambda _folder: free[0])
    store.add_file(source)
    free[0] = 1000
    source.write_bytes(b"another model")
    with pytest.raises(StoreError, match="free some space"):
        store.add_file(source)
    with pytest.raises(StoreError, match="free some space"):
        store.write_golden(MODEL_ID, [b"out"])
    assert [one.model_id for one in store.list_models()] == [MODEL_ID]
    assert len(list((tmp_path / "s" / "models").iterdir())) == 1


def receive(
    store: ModelStore, content: bytes, expected: ModelId | None = None, device: str | None = None
) -> None:
    with store.receive(len(content)) as incoming:
        if device:
            with Path(device).open("wb", buffering=0) as full:
                os.dup2(full.fileno(), incoming.fileno())
        incoming.write(content)
        store.keep(incoming, expected)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_while_writing(store: ModelStore) -> None:
    with pytest.raises(StoreError, match="disk is full"):
        receive(store, CONTENT, device="/dev/full")
    assert store.list_models() == ()


def test_the_wrong_bytes_are_not_kept(store: ModelStore) -> None:
    with pytest.raises(IntegrityError, match="send again"):
        receive(store, b"abc", expected=MODEL_ID)
    assert store.list_models() == ()


def test_a_restart_removes_what_a_crash_left(
    store: ModelStore, source: Path, tmp_path: Path
) -> None:
    store.add_file(source)
    (tmp_path / "store" / "models" / "x.tmp").touch()
    (tmp_path / "store" / "y.tmp").touch()
    done, wanted = store.partial_paths(MODEL_ID), store.partial_paths(ModelId("0" * 64))
    for path in (*done, *wanted):
        path.touch()
    again = ModelStore(tmp_path / "store", max_model_bytes=1 << 20)
    assert again.has(MODEL_ID)
    assert not list((tmp_path / "store").rglob("*.tmp"))
    assert [path.exists() for path in (*done, *wanted)] == [False, False, True, True]


def test_golden_outputs_stay_with_the_model(store: ModelStore) -> None:
    digest = store.write_golden(MODEL_ID, [b"one", b""])
    assert store.read_golden(MODEL_ID) == (b"one", b"")
    assert hashlib.sha256(store.golden_path(MODEL_ID).read_bytes()).hexdigest() == digest
    store.golden_path(MODEL_ID).write_bytes(b"broken" * 20)
    with pytest.raises(IntegrityError):
        store.read_golden(MODEL_ID)
    with pytest.raises(IntegrityError):
        store.write_golden_file(MODEL_ID, b"broken" * 20)


def test_the_catalogue_outlives_a_restart(store: ModelStore, tmp_path: Path) -> None:
    assert store.load_catalogue() == Catalogue()
    store.save_catalogue(Catalogue())
    assert store.load_catalogue() == Catalogue()
    (tmp_path / "store" / "catalogue.json").write_bytes(b"{")
    with pytest.raises(StoreError, match="move it away"):
        store.load_catalogue()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="Preparing"):
        ModelStore(tmp_path / "file" / "store", max_model_bytes=1)
