"""A slice whose right answer is known without an interpreter, and the runtimes that run it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mesh.model.reader import read_model
from mesh.model.tensor import TensorSpec
from mesh.runtime.detect import detect_runtime
from mesh.runtime.interpreter import InterpreterRuntime, InterpreterSlice
from mesh.testing.model_builder import ModelBuilder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The runtime's contract suite, all of it, is passed by each runtime."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.runtime)


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceFile:
    path: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


WriteSlice = Callable[[bytes], SliceFile]
LoadSlice = Callable[[SliceFile], InterpreterSlice]


@pytest.fixture
def write_slice(tmp_path: Path) -> WriteSlice:
    """Writes a whole model as if it were a slice."""

    def write(content: bytes) -> SliceFile:
        model = read_model(content)
        path = tmp_path / "slice.tflite"
        path.write_bytes(content)
        return SliceFile(path=path, inputs=model.inputs, outputs=model.outputs)

    return write


@pytest.fixture
def subtraction(write_slice: WriteSlice) -> SliceFile:
    """Inputs a and b, float32 (1, 5); outputs a − b and a + b: their order matters on both sides."""
    builder = ModelBuilder()
    a, b, difference, total = (
        builder.tensor(name, (1, 5)) for name in ("a", "b", "difference", "total")
    )
    builder.operator("SUB", [a, b], [difference])
    builder.operator("ADD", [a, b], [total])
    return write_slice(builder.build({"a": a, "b": b}, {"difference": difference, "total": total}))


@pytest.fixture
def lookup(write_slice: WriteSlice) -> SliceFile:
    """Input an index, int32 (1,); output that one of ten numbers. Other indexes fail at invoke."""
    builder = ModelBuilder()
    table = builder.constant("table", np.arange(10, dtype=np.float32))
    index, value = builder.tensor("index", (1,), "int32"), builder.tensor("value", (1,))
    builder.operator("GATHER", [table, index], [value])
    return write_slice(builder.build({"index": index}, {"value": value}))


@pytest.fixture
def runtime() -> InterpreterRuntime:
    return detect_runtime()


@pytest.fixture
def load(runtime: InterpreterRuntime) -> Iterator[LoadSlice]:
    """Loads with the real runtime and closes in the end."""
    loaded: list[InterpreterSlice] = []

    def load_slice(file: SliceFile) -> InterpreterSlice:
        loaded.append(
            runtime.load(
                file.path, inputs=file.inputs, outputs=file.outputs, threads=1, timeout_s=60
            )
        )
        return loaded[-1]

    yield load_slice
    for each in loaded:
        each.close()
