from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mesh.model import read_model
from mesh.runtime.control import Package
from mesh.testing.exact_worker import Interpreters, judge
from mesh.testing.models import tiny_dense
from mesh.testing.staged import Run


def _never_loads(_pieces: Sequence[bytes | memoryview]) -> Run:
    raise RuntimeError("Didn't find op for builtin opcode")


def _answers(pieces: Sequence[bytes | memoryview], *, add: float) -> Run:
    model = read_model(b"".join(pieces))
    return lambda _inputs: [np.full(s.shape, add, np.float32) for s in model.graph_outputs]


def _drifts(pieces: Sequence[bytes | memoryview]) -> Run:
    """Slices answer otherwise than the whole."""
    return _answers(pieces, add=0.5 if len(pieces) > 1 else 0.0)


def test_a_difference_names_the_cut_the_step_the_output_and_how_much() -> None:
    said = list(judge(tiny_dense(), [[1]], 1, _drifts))

    assert said == [
        {"way": 0},
        {"problem": "cut before (1,): step 0: output 'y' differs by up to 0.5"},
    ]


def test_a_file_that_the_runtime_refuses_is_no_difference() -> None:
    assert list(judge(tiny_dense(), [[1]], 1, _never_loads)) == [
        {"refusal": "Didn't find op for builtin opcode"}
    ]


def test_a_slice_that_the_runtime_refuses_is_a_problem() -> None:
    def load(pieces: Sequence[bytes | memoryview]) -> Run:
        return _never_loads(pieces) if len(pieces) > 1 else _answers(pieces, add=0)

    *_, last = judge(tiny_dense(), [[1]], 1, load)
    assert last == {"problem": "cut before (1,): Didn't find op for builtin opcode"}


def test_an_illegal_cut_is_a_problem() -> None:
    *_, last = judge(tiny_dense(), [[7]], 1, _drifts)
    assert "no cut at 7" in last["problem"]


def test_the_same_bits_are_nothing_to_say(tmp_path: Path) -> None:
    load = Interpreters(tmp_path, Package.LITERT.value, use_xnnpack=True).load
    assert list(judge(tiny_dense(), [[], [1], [2], [1, 2]], 2, load)) == [
        {"way": at} for at in range(4)
    ]


def test_interpreters_load_what_is_damaged_with_an_error(tmp_path: Path) -> None:
    load = Interpreters(tmp_path, Package.LITERT.value, use_xnnpack=False).load
    with pytest.raises((ValueError, RuntimeError)):
        load([tiny_dense()[:-900]])
