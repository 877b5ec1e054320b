"""Split answers equal the whole model's bit for bit, over 2, 3 and 4 real nodes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.testing.local_mesh import LocalMesh
from mesh.testing.models import residual_cnn

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

GENERATED = ("float32", "int8", "fp16")
TRAINED = ("embedding_model", "hand_landmark_full", "pose_landmark_full")


@pytest.fixture(scope="module")
def mesh_of_four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    with LocalMesh(tmp_path_factory.mktemp("mesh")) as mesh:
        mesh.start_all(("node-1", "node-2", "node-3", "node-4"))
        yield mesh


def _check(mesh: LocalMesh, file: Path, name: str, whole: Any) -> None:
    for split in (2, 3, 4):
        model = mesh.serve(file, name, split=split)
        nodes = {replica.node_id for replica in model.replicas}
        assert len(nodes) == len(model.replicas) >= len(model.stages) >= split
        with mesh.client() as client:
            for seed in range(3):
                inputs = whole.draw(seed)
                answer = client.infer(name, inputs)
                found = {output: array.tobytes() for output, array in answer.outputs.items()}
                assert found == whole.answer(inputs), f"{name} over {split} nodes"
                assert answer.timing is not None
                assert len(answer.timing.stages) == len(model.stages)


@pytest.mark.parametrize("data_type", GENERATED)
def test_generated_model(
    mesh_of_four: LocalMesh,
    tmp_path: Path,
    whole_model: Callable[[Path], Any],
    data_type: Any,
) -> None:
    file = tmp_path / f"{data_type}.tflite"
    file.write_bytes(residual_cnn(data_type))
    _check(mesh_of_four, file, f"residual-{data_type}", whole_model(file))


@pytest.mark.samples
@pytest.mark.parametrize("name", TRAINED)
def test_trained_model(
    mesh_of_four: LocalMesh,
    sample_model: Callable[[str], Path],
    whole_model: Callable[[Path], Any],
    name: str,
) -> None:
    file = sample_model(name)
    _check(mesh_of_four, file, name, whole_model(file))
