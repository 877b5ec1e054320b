"""What tests of the node share: a loop run until something has happened, and a small model on disk."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mesh.model import read_model
from mesh.node.held_stage import ModelFile
from mesh.node.loop import Loop
from mesh.testing.models import tiny_dense
from tests.node.front_desk import Bench

POLL_S = 0.002
TIMEOUT_S = 20.0

RunUntil = Callable[[Loop, Callable[[], bool]], None]


@pytest.fixture
def run_until() -> RunUntil:
    """Run the loop on this thread until the condition holds; a test fails when it never does."""

    def run(loop: Loop, is_done: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + TIMEOUT_S

        def look() -> None:
            if is_done() or time.monotonic() > deadline_s:
                loop.stop()
            else:
                loop.after(POLL_S, look)

        loop.post(look)
        loop.run()
        assert is_done(), "it did not happen in time"

    return run


@pytest.fixture
def model_file(tmp_path: Path) -> ModelFile:
    """Three layers: float32 "x" (1, 8) to "y" (1, 4)."""
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_dense())
    return ModelFile(path=path, model=read_model(path.read_bytes()))


@pytest.fixture
def bench(tmp_path: Path, run_until: RunUntil) -> Iterator[Bench]:
    """A reception, and what it reads from."""
    made = Bench(tmp_path, run_until)
    yield made
    made.close()
