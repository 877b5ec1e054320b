"""`mesh plan FILE --devices …`."""

import json
from pathlib import Path
from typing import Any

import pytest

from mesh.testing.models import residual_cnn


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "cnn.tflite"
    path.write_bytes(residual_cnn("float32", width=16, blocks=4))
    return str(path)


def test_boards_are_planned_without_any_node(cli: Any, model: str) -> None:
    words = ("--devices", "pi4:2,pi5", "--link", "940mbit", "--link-latency", "0.5ms")
    assert cli.run("plan", model, *words) == 0
    assert cli.out.startswith("cnn.tflite  ")
    assert "supposed" in cli.out
    assert "×0.5 to ×2" in cli.out
    assert "likely" in cli.out
    assert cli.mesh.asked == []


def test_as_json(cli: Any, model: str) -> None:
    assert cli.run("plan", model, "--devices", "pi4,zero2w", "--json") == 0
    reply = json.loads(cli.out)
    rate = 1 / reply["chosen"]["bottleneck_s"]
    assert reply["least_requests_per_s"] < rate < reply["most_requests_per_s"]
    assert reply["from_mesh"] is False
    assert any("zero2w" in sentence for sentence in reply["supposed"])


def test_a_slower_link_answers_later(cli: Any, model: str) -> None:
    latencies = []
    for link in ("1gbit", "1mbit"):
        assert cli.run("plan", model, "--devices", "pi5", "--link", link, "--json") == 0
        latencies.append(json.loads(cli.out)["chosen"]["latency_s"])
    assert latencies[0] < latencies[1]


def test_wishes_hold(cli: Any, model: str) -> None:
    words = ("--split", "2", "--must", "zero2w-1", "--json")
    assert cli.run("plan", model, "--devices", "pi5:2,zero2w", *words) == 0
    stages = json.loads(cli.out)["chosen"]["stages"]
    assert len(stages) > 1
    assert "zero2w-1" in {node["node_id"] for stage in stages for node in stage["replicas"]}


def test_the_question_can_be_kept_and_asked_again(cli: Any, model: str, tmp_path: Path) -> None:
    kept = tmp_path / "problem.json"
    assert cli.run("plan", model, "--devices", "pi4:2", "--dump-problem", str(kept)) == 0
    assert cli.run("plan", model, "--devices", "pi4:2", "--json") == 0
    chosen = json.loads(cli.out)["chosen"]
    assert cli.run("plan", "--problem", str(kept), "--json") == 0
    answer = json.loads(cli.out)
    assert answer["bottleneck_s"] == chosen["bottleneck_s"]
    assert answer["latency_s"] == chosen["latency_s"]


def test_no_board_is_large_enough(cli: Any, model: str) -> None:
    assert cli.run("plan", model, "--devices", "pi5@300mb") == 6
    assert "pi5-1" in cli.err or "memory" in cli.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--devices", "pi9"), "there is no device profile 'pi9'; there are: "),
        (("--devices", "pi4,,pi5"), "'' names no board"),
        (("--devices", "pi4", "--link", "fast"), "'fast' is no speed of a link"),
        (("--devices", "pi4", "--link-latency", "1h"), "'1h' is no time"),
        (("--devices", "arm64"), "nothing is known of the speed of 64-bit ARM computer"),
    ],
)
def test_words_that_cannot_be_planned(
    cli: Any, model: str, words: tuple[str, ...], sentence: str
) -> None:
    assert cli.run("plan", model, *words) == 2
    assert sentence in cli.err


def test_a_name_is_no_file(cli: Any) -> None:
    assert cli.run("plan", "pose", "--devices", "pi4") == 2
    assert "there is no file 'pose': --devices plans a .tflite file" in cli.err
    assert cli.run("plan", "--devices", "pi4") == 2


def test_a_damaged_file(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "damaged.tflite"
    path.write_bytes(b"no model")
    assert cli.run("plan", str(path), "--devices", "pi4") == 3
    assert cli.err.startswith("mesh: damaged.tflite: ")
