"""Nodes of unlike runtimes serve one model together: each gets only what its runtime can load."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import UnsupportedModelError
from mesh.model.decoder import decode
from mesh.model.encoder import encode
from mesh.model.limits import Limits
from mesh.model.schema import OPERATOR_NAMES
from mesh.testing.local_mesh import LocalMesh
from mesh.testing.models import residual_cnn
from mesh.wire.control import Verb
from mesh.wire.planned import PlanReply, PlanRequest

TFLITE = Path(__file__).parents[2] / ".venvs" / "tflite" / "bin" / "python"

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(300),  # each runtime measures for itself
    pytest.mark.skipif(
        not TFLITE.exists(), reason="there is no environment with tflite-runtime: run scripts/test"
    ),
]


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[LocalMesh]:
    with LocalMesh(tmp_path / "mesh") as mesh:
        mesh.start("new", "--runtime", "litert")
        mesh.start("old", "--runtime", "tflite", python=TFLITE)
        yield mesh


@pytest.fixture
def newer_model(tmp_path: Path) -> Path:
    """A model whose last layer, SOFTMAX, has a version that tflite-runtime 2.14 does not know."""
    root = decode(memoryview(residual_cnn("float32")), Limits())
    number = OPERATOR_NAMES.index("SOFTMAX")
    codes = [
        code.replace(version=4) if code.integer("builtin_code") == number else code
        for code in root.tables("operator_codes")
    ]
    file = tmp_path / "newer.tflite"
    file.write_bytes(encode(root.replace(operator_codes=tuple(codes))))
    return file


def test_a_stage_goes_only_where_its_runtime_can_load_it(
    mixed: LocalMesh, newer_model: Path, whole_model: Callable[[Path], Any]
) -> None:
    served = mixed.serve(newer_model, "newer", split=2)
    assert served.replicas[-1].node_name == "new"
    assert {stage.node_name for stage in served.replicas} == {"new", "old"}
    whole = whole_model(newer_model)
    inputs = whole.draw(3)
    with mixed.client("old") as client:
        (limited,) = client.ask(
            Verb.PLAN, PlanRequest(name="newer"), PlanReply, timeout_s=30
        ).limited
        answer = client.infer("newer", inputs)
    assert limited.node_name == "old"
    assert limited.reason == "tflite 2.14.0 lacks SOFTMAX version 4 (layer 14)"
    for name, raw in whole.answer(inputs).items():
        expected = np.frombuffer(raw, "<f4").reshape(answer.outputs[name].shape)
        np.testing.assert_allclose(answer.outputs[name], expected, atol=1e-3)


def test_a_model_is_refused_by_the_node_whose_runtime_is_too_old(
    mixed: LocalMesh, newer_model: Path
) -> None:
    mixed.nodes = dict(reversed(mixed.nodes.items()))  # the first one is asked to add it
    with pytest.raises(UnsupportedModelError, match=r"tflite 2.14.0 lacks SOFTMAX version 4: add"):
        mixed.serve(newer_model, "newer")
