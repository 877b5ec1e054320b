from dataclasses import dataclass
from pathlib import Path

import pytest

from mesh.errors import ChildDiedError, ChildHungError, InvokeError, UnsupportedModelError
from mesh.testing.runtime import FakeRuntime
from tests.fuzz.bases import GENERATED
from tests.fuzz.children import Fate, try_piece
from tests.fuzz.reading import Piece, read_hostile

_PIECE = read_hostile(GENERATED["dense"]()).pieces[0]


@dataclass
class Raising:
    """Computes nothing but this error."""

    error: Exception

    def __call__(self, _call: object) -> list[bytes]:
        raise self.error


def test_a_sound_piece_runs(tmp_path: Path) -> None:
    runtime = FakeRuntime()

    outcome = try_piece(_PIECE, runtime, tmp_path / "piece.tflite")

    assert (outcome.fate, outcome.violations) == (Fate.RAN, ())
    assert [each.resident_bytes for each in runtime.slices] == [0], "it is closed"


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        (UnsupportedModelError("no"), Fate.REFUSED_BY_RUNTIME),
        (ChildDiedError("died"), Fate.DIED),
        (ChildHungError("hung"), Fate.HUNG),
    ],
)
def test_what_loading_says_is_its_fate(
    error: UnsupportedModelError | ChildDiedError | ChildHungError, fate: Fate, tmp_path: Path
) -> None:
    runtime = FakeRuntime()
    runtime.next_load_error = error

    outcome = try_piece(_PIECE, runtime, tmp_path / "piece.tflite")

    assert (outcome.fate, outcome.said, outcome.violations) == (fate, f"whole: {error}", ())


@pytest.mark.parametrize(
    ("error", "fate"), [(InvokeError("no"), Fate.FAILED), (ChildDiedError("died"), Fate.DIED)]
)
def test_what_a_run_says_is_its_fate(error: Exception, fate: Fate, tmp_path: Path) -> None:
    outcome = try_piece(_PIECE, FakeRuntime(Raising(error)), tmp_path / "piece.tflite")

    assert (outcome.fate, outcome.violations) == (fate, ())


def test_any_other_error_is_a_violation(tmp_path: Path) -> None:
    outcome = try_piece(_PIECE, FakeRuntime(Raising(OSError(9, "x"))), tmp_path / "piece.tflite")

    (violation,) = outcome.violations
    assert "OSError" in violation


def test_a_piece_with_huge_inputs_is_loaded_only(tmp_path: Path) -> None:
    (spec,) = _PIECE.inputs
    shape = (1 << 20, 1 << 10)
    huge = type(spec)(index=0, name="x", data_type=spec.data_type, shape=shape)
    piece = Piece(name="whole", content=_PIECE.content, inputs=(huge,), outputs=())
    runtime = FakeRuntime(Raising(OSError("it ran")))

    assert try_piece(piece, runtime, tmp_path / "piece.tflite").fate is Fate.RAN
