"""`mesh model inspect` needs a file, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from mesh.testing.models import residual_cnn, tiny_dense


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "net.tflite"
    path.write_bytes(residual_cnn("float32"))
    return path


def test_for_people(cli: Any, model_file: Path) -> None:
    assert cli.run("model", "inspect", str(model_file)) == 0
    assert cli.out.startswith("net.tflite  15 layers")


def test_for_programs(cli: Any, model_file: Path) -> None:
    assert cli.run("model", "inspect", str(model_file), "--json") == 0
    found = json.loads(cli.out)
    assert found["status"] == "ok"
    assert found["layers"][0]["name"] == "CONV_2D"
    assert [len(stages) for stages in found["splits"]] == [1, 2, 3, 4]
    assert found["splits"][1][0]["memory_bytes"].keys() == {"litert", "tflite"}
    assert found["boundaries"][0].keys() == {"layer", "live_bytes", "obstacle"}


def test_a_drawing(cli: Any, model_file: Path, tmp_path: Path) -> None:
    drawing = tmp_path / "net.svg"
    assert cli.run("model", "inspect", str(model_file), "--svg", str(drawing)) == 0
    assert drawing.read_text().startswith("<svg ")
    assert f"drawn into {drawing}" in cli.err
    assert cli.run("model", "inspect", str(model_file), "--svg", str(tmp_path)) == 2
    assert "cannot be written" in cli.err


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"", 3, "empty"),
        (b"no model at all, but some text", 3, "bad.tflite: "),
        (tiny_dense()[:300], 3, "bad.tflite: "),
    ],
)
def test_files_that_are_no_models(
    content: bytes, status: int, reason: str, cli: Any, tmp_path: Path
) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    assert cli.run("model", "inspect", str(path)) == status
    assert reason in cli.err
    assert cli.err.count("\n") == 1
    assert cli.out == ""


def test_paths_that_are_no_files(cli: Any, tmp_path: Path) -> None:
    assert cli.run("model", "inspect", str(tmp_path)) == 2
    assert "folder" in cli.err
    assert cli.run("model", "inspect", str(tmp_path / "none")) == 2
    assert "there is no file" in cli.err


@pytest.mark.samples
def test_a_model_that_is_refused_says_why(cli: Any, sample_model: Any) -> None:
    path = sample_model("hey_jarvis")
    assert cli.run("model", "inspect", str(path), "--json") == 3
    refusal = json.loads(cli.out)
    assert refusal["code"] == "UNSUPPORTED_MODEL"
    assert "(IF) runs other subgraphs" in refusal["error"]
