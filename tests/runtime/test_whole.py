"""The uncut file step by step, on the real runtime."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest

from mesh.model.reader import read_model
from mesh.runtime.interpreter import InterpreterRuntime
from mesh.runtime.whole import WholeRun
from mesh.testing.models import tiny_dense
from mesh.testing.sequence_models import gated_cell, running_total, variable_filter

TIMEOUT_S = 60.0

Open = Callable[[bytes], WholeRun]


@pytest.fixture
def open_whole(runtime: InterpreterRuntime, tmp_path: Path) -> Iterator[Open]:
    with ExitStack() as opened:

        def one(content: bytes) -> WholeRun:
            path = tmp_path / "whole.tflite"
            path.write_bytes(content)
            whole = WholeRun(runtime, path, read_model(content), threads=1, timeout_s=TIMEOUT_S)
            return opened.enter_context(closing(whole))

        yield one


@pytest.mark.parametrize("model", [gated_cell, variable_filter, running_total])
def test_a_session_goes_on_until_it_is_begun_anew(
    open_whole: Open, model: Callable[[], bytes]
) -> None:
    whole, x = open_whole(model()), np.full((1, 8), 0.5, np.float32).tobytes()
    steps = [whole.step([x]) for _ in range(3)]
    assert len(set(steps)) == 3, "the same input on other states"
    whole.restart()
    assert [whole.step([x]) for _ in range(3)] == steps


def test_state_that_is_fed_is_the_state_that_came_out(open_whole: Open) -> None:
    x = np.full((1, 8), 0.5, np.float32).tobytes()
    declared, plain = open_whole(gated_cell()), open_whole(gated_cell(declares_state=False))
    first = plain.step([x, bytes(64), bytes(64)])
    assert declared.step([x]) == first[:1]
    assert declared.step([x]) == plain.step([x, *first[1:]])[:1]


def test_without_state_nothing_changes(open_whole: Open) -> None:
    whole, x = open_whole(tiny_dense()), np.full((1, 8), 0.5, np.float32).tobytes()
    assert whole.step([x]) == whole.step([x])
