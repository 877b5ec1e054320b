from pathlib import Path

import pytest

from mesh.errors import SessionLostError
from mesh.ids import SessionKey
from mesh.node.own_interpreters import OwnInterpreters
from mesh.testing.models import tiny_dense
from mesh.testing.runtime import FakeRuntime, FakeSlice

A, B = SessionKey(b"a" * 16), SessionKey(b"b" * 16)


@pytest.fixture
def fresh(tmp_path: Path) -> list[FakeSlice]:
    runtime, path = FakeRuntime(resident_bytes=7), tmp_path / "tiny.tflite"
    path.write_bytes(tiny_dense())
    for _ in range(2):
        runtime.load(path, inputs=(), outputs=(), threads=1, timeout_s=1.0)
    return runtime.slices


def test_each_session_finds_its_own(fresh: list[FakeSlice]) -> None:
    own = OwnInterpreters()
    for key, one in zip((A, B), fresh, strict=True):
        assert own.give(key, one) is one
    assert [own.find(key) for key in (A, B)] == fresh
    assert own.resident_bytes == 14


def test_one_that_is_dropped_ends(fresh: list[FakeSlice]) -> None:
    own = OwnInterpreters()
    own.give(A, fresh[0])
    own.give(B, fresh[1])
    own.drop(A)
    own.drop(A)
    assert [one.resident_bytes for one in fresh] == [0, 7]
    with pytest.raises(SessionLostError):
        own.find(A)


def test_closing_ends_all(fresh: list[FakeSlice]) -> None:
    own = OwnInterpreters()
    own.give(A, fresh[0])
    own.give(B, fresh[1])
    own.close()
    assert own.resident_bytes == 0
    assert [one.resident_bytes for one in fresh] == [0, 0]
