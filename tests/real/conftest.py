"""Meshes of real node processes, and what the whole model answers in one process."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mesh.model import read_model
from mesh.model.tensor import TensorSpec
from mesh.runtime.detect import detect_runtime
from mesh.testing.local_mesh import LocalMesh

Arrays = dict[str, npt.NDArray[Any]]


class WholeModel:
    """A model in one interpreter process: what every answer of the mesh must equal, bit for bit."""

    def __init__(self, file: Path) -> None:
        model = read_model(file.read_bytes())
        self.inputs: Sequence[TensorSpec] = model.inputs
        self.outputs: Sequence[TensorSpec] = model.outputs
        self._loaded = detect_runtime().load(
            file, inputs=model.inputs, outputs=model.outputs, threads=1, timeout_s=60
        )

    def draw(self, seed: int) -> Arrays:
        """Seeded inputs that fill the types' usual range."""
        rng = np.random.default_rng(seed)
        return {spec.name: _draw(rng, spec) for spec in self.inputs}

    def run(self, inputs: Arrays) -> dict[str, bytes]:
        raw = [inputs[spec.name].tobytes() for spec in self.inputs]
        outputs = self._loaded.invoke(raw, timeout_s=60).outputs
        return {spec.name: data for spec, data in zip(self.outputs, outputs, strict=True)}

    def close(self) -> None:
        self._loaded.close()


def _draw(rng: np.random.Generator, spec: TensorSpec) -> npt.NDArray[Any]:
    dtype = np.dtype(spec.data_type.numpy_name)
    if dtype.kind == "f":
        return rng.random(spec.shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, spec.shape, dtype=dtype, endpoint=True)


@pytest.fixture
def whole_model() -> Iterator[Callable[[Path], WholeModel]]:
    opened: list[WholeModel] = []

    def open_model(file: Path) -> WholeModel:
        opened.append(WholeModel(file))
        return opened[-1]

    yield open_model
    for one in opened:
        one.close()


@pytest.fixture
def mesh_of_three(tmp_path: Path) -> Iterator[LocalMesh]:
    with LocalMesh(tmp_path) as mesh:
        mesh.start_all(("node-1", "node-2", "node-3"))
        yield mesh
