"""What the fake adds to the contract of tests/runtime/test_port.py: failures on command."""

from pathlib import Path

import pytest

from mesh.errors import ChildHungError, InvokeError
from mesh.model.reader import read_model
from mesh.testing.models import tiny_dense
from mesh.testing.runtime import FakeRuntime, FakeSlice


def load(runtime: FakeRuntime, folder: Path) -> FakeSlice:
    model, path = read_model(tiny_dense()), folder / "model.tflite"
    path.write_bytes(tiny_dense())
    return runtime.load(path, inputs=model.inputs, outputs=model.outputs, threads=1, timeout_s=1)


def test_outputs_depend_on_every_input_and_repeat(tmp_path: Path) -> None:
    loaded = load(FakeRuntime(), tmp_path)
    zero = loaded.invoke([bytes(32)], timeout_s=1)
    assert len(zero.outputs[0]) == 16
    assert loaded.invoke([bytes(32)], timeout_s=1) == zero
    assert loaded.invoke([bytes(31) + b"\1"], timeout_s=1) != zero


def test_one_failure_on_command(tmp_path: Path) -> None:
    loaded = load(FakeRuntime(), tmp_path)
    loaded.fail_next("index out of bounds")
    with pytest.raises(InvokeError, match="index out of bounds"):
        loaded.invoke([bytes(32)], timeout_s=1)
    assert loaded.invoke([bytes(32)], timeout_s=1).compute_s == 0.001


def test_one_refused_load(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    runtime.next_load_error = ChildHungError("it did not answer")
    with pytest.raises(ChildHungError):
        load(runtime, tmp_path)
    assert load(runtime, tmp_path) is runtime.slices[0]
