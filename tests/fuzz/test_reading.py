import time

import numpy as np
import pytest

from mesh.model import Model
from mesh.model.reader import read_model
from tests.fuzz.bases import GENERATED
from tests.fuzz.reading import MAX_READ_S, MEMORY_BYTES, memory_bound, read_hostile

_DENSE = GENERATED["dense"]()


def test_a_sound_file_gives_the_whole_and_two_halves() -> None:
    reading = read_hostile(GENERATED["cnn-float32"]())

    assert [piece.name for piece in reading.pieces] == ["whole", "first half", "second half"]
    assert reading.pieces[1].outputs == reading.pieces[2].inputs
    assert (reading.refusal, reading.violations) == ("", ())


def test_a_refusal_is_no_violation() -> None:
    reading = read_hostile(b"\0\0\0\0TFL3")

    assert reading.refusal.startswith("InvalidModelError: ")
    assert (reading.pieces, reading.violations) == ((), ())


def test_any_other_error_is_a_violation_with_its_place() -> None:
    def fail(content: bytes) -> Model:
        raise ZeroDivisionError(f"{len(content)} bytes")

    (violation,) = read_hostile(_DENSE, fail).violations

    assert "ZeroDivisionError: 1952 bytes" in violation
    assert "in fail" in violation


def test_too_much_memory_is_a_violation() -> None:
    def hoard(content: bytes) -> Model:
        np.ones(2 * MEMORY_BYTES, np.uint8)
        return read_model(content)

    assert read_hostile(_DENSE, hoard).violations == ("the reader passed its memory bound",)


def test_a_slow_reader_is_a_violation_whatever_it_says() -> None:
    def dawdle(content: bytes) -> Model:
        until_s = time.process_time() + MAX_READ_S
        while time.process_time() <= until_s:
            pass
        return read_model(content)

    reading = read_hostile(_DENSE, dawdle)

    assert [violation[:12] for violation in reading.violations] == ["reading took"]
    assert len(reading.pieces) == 3


def test_memory_beyond_the_bound_is_refused_by_the_system() -> None:
    with memory_bound(16 << 20):
        np.ones(1 << 20, np.uint8)
        with pytest.raises(MemoryError):
            np.ones(64 << 20, np.uint8)
    assert np.ones(64 << 20, np.uint8).all()
