"""Meshes of real node processes, and what the whole model answers in one process."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mesh.demo.whole import WholeModel
from mesh.model.tensor import TensorSpec
from mesh.testing.asker import Asker
from mesh.testing.local_mesh import LocalMesh
from mesh.testing.models import residual_cnn
from mesh.wire.control import ImageWish

Arrays = dict[str, npt.NDArray[Any]]


class Oracle(WholeModel):
    """The whole model, with inputs to ask about."""

    def draw(self, seed: int) -> Arrays:
        """Seeded inputs that fill the types' usual range."""
        rng = np.random.default_rng(seed)
        return {spec.name: _draw(rng, spec) for spec in self.inputs}


def _draw(rng: np.random.Generator, spec: TensorSpec) -> npt.NDArray[Any]:
    dtype = np.dtype(spec.data_type.numpy_name)
    if dtype.kind == "f":
        return rng.random(spec.shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, spec.shape, dtype=dtype, endpoint=True)


@pytest.fixture
def whole_model() -> Iterator[Callable[[Path], Oracle]]:
    with contextlib.ExitStack() as opened:
        yield lambda file: opened.enter_context(Oracle(file))


@pytest.fixture
def mesh_of_three(tmp_path: Path) -> Iterator[LocalMesh]:
    with LocalMesh(tmp_path) as mesh:
        mesh.start_all(("node-1", "node-2", "node-3"))
        yield mesh


SIGNED_IMAGE = ImageWish(scale=1 / 127.5, offset=-1.0)
"""Not the defaults, so that a test sees whether they travel with the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A mesh that serves the residual CNN as "residual" in two stages."""

    mesh: LocalMesh
    file: Path
    whole: Oracle
    image: ImageWish
    nodes: tuple[str, ...]
    """Names of the nodes, the one with the first stage first."""

    def url(self, node: str) -> str:
        return self.mesh.nodes[node].broker_url

    def asker(self, node: str, *, v5: bool = True) -> Asker:
        sound = self.whole.draw(0)["image"].tobytes()
        return Asker(self.url(node), "residual", sound, v5=v5)


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The option by which meshes share what was measured: once is enough for these tests."""
    return ("--measurements-dir", str(tmp_path_factory.mktemp("measurements")))


@pytest.fixture(scope="module")
def serving(
    tmp_path_factory: pytest.TempPathFactory, measured: tuple[str, str]
) -> Iterator[Serving]:
    """Two nodes that take at most 128 KiB a message."""
    folder = tmp_path_factory.mktemp("mesh")
    file = folder / "residual.tflite"
    file.write_bytes(residual_cnn("float32"))
    with (
        Oracle(file) as whole,
        LocalMesh(
            folder, options=("--max-payload", "128KiB", *measured), measure_each=True
        ) as mesh,
    ):
        mesh.start_all(("node-1", "node-2"))
        model = mesh.serve(file, "residual", split=2, image=SIGNED_IMAGE)
        nodes = tuple(stage.node_name for stage in model.replicas)
        yield Serving(mesh=mesh, file=file, whole=whole, image=SIGNED_IMAGE, nodes=nodes)


@pytest.fixture(params=["first stage", "last stage"])
def asked(request: pytest.FixtureRequest, serving: Serving) -> str:
    """The name of the node that clients talk to: any must do."""
    return serving.nodes[0 if request.param == "first stage" else -1]
