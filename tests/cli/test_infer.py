"""`mesh infer`: each kind of input, the answer, and the measurement."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.cli.infer_request import write_arrays
from mesh.client import Answer
from mesh.errors import OverloadedError, SessionLostError
from mesh.wire.infer import LikelyClass, SessionUse

PNG, JPEG = b"\x89PNG\r\n\x1a\n....", b"\xff\xd8\xff...."


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "input"


def test_random(cli: Any) -> None:
    assert cli.run("infer", "pose", "--random", "--seed", "7") == 0
    assert cli.out.startswith("scores  float32 [1, 4]\n")
    assert "where the time went" in cli.out
    ((name, inputs, outputs),) = cli.mesh.inferred
    assert (name, list(inputs), outputs) == ("pose", ["image"], None)
    assert inputs["image"].shape == (1, 8, 8, 3)


def test_random_for_an_unknown_model(cli: Any) -> None:
    assert cli.run("infer", "lens", "--random") == 3
    assert not cli.mesh.inferred


@pytest.mark.parametrize(("content", "kind"), [(PNG, "image/png"), (JPEG, "image/jpeg")])
def test_pictures(content: bytes, kind: str, cli: Any, file: Path) -> None:
    file.write_bytes(content)
    assert cli.run("infer", "pose", "--image", str(file)) == 0
    assert cli.mesh.inferred == [("pose", content, kind)]


def test_no_picture(cli: Any, file: Path) -> None:
    file.write_bytes(b"GIF89a")
    assert cli.run("infer", "pose", "--image", str(file)) == 2
    assert "is neither a JPEG nor a PNG" in cli.err
    assert not cli.whereabouts


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["--raw"], "application/octet-stream"),
        (["--payload"], None),
        (["--content-type", "text/x", "--payload"], "text/x"),
    ],
)
def test_payloads(words: list[str], kind: str | None, cli: Any, file: Path) -> None:
    file.write_bytes(b"12")
    assert cli.run("infer", "pose", *words, str(file)) == 0
    assert cli.mesh.inferred == [("pose", b"12", kind)]


def test_arrays_in_and_out(cli: Any, file: Path, tmp_path: Path, answer: Answer) -> None:
    write_arrays(file, {"image": np.ones((1, 8, 8, 3), np.float32)})
    saved = tmp_path / "out.npz"
    words = ["--npz", str(file), "--output", "scores", "--save", str(saved)]
    assert cli.run("infer", "pose", *words) == 0
    assert cli.mesh.inferred[0][2] == ("scores",)
    assert cli.err == f"saved scores to {saved}\n"
    with np.load(saved) as found:
        np.testing.assert_array_equal(found["scores"], answer.outputs["scores"])


def test_only_some_outputs(cli: Any, file: Path, answer: Answer) -> None:
    both = replace(answer, outputs={**answer.outputs, "boxes": np.zeros(2, np.float32)})
    cli.mesh.answers = lambda _count: both
    file.write_bytes(b"12")
    assert cli.run("infer", "pose", "--raw", str(file), "--output", "boxes") == 0
    assert cli.out.startswith("boxes  ")
    assert "scores" not in cli.out
    assert cli.run("infer", "pose", "--raw", str(file), "--output", "masks") == 2
    assert cli.err == "mesh: there is no output 'masks'; there are: scores, boxes\n"


def test_labels(cli: Any, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\nemu\nfox\n")
    cli.run("infer", "pose", "--random", "--labels", str(labels), "--top", "1")
    assert "      1    0.6  dog\n" in cli.out
    assert "emu" not in cli.out


@pytest.fixture
def named(answer: Answer) -> Answer:
    return replace(
        answer, classes={"scores": (LikelyClass(index=1, label="dog", value=0.6000000238418579),)}
    )


@pytest.mark.parametrize("words", [["--random"], ["--raw", "FILE"]])
def test_the_names_kept_with_the_model(
    words: list[str], cli: Any, file: Path, named: Answer
) -> None:
    cli.mesh.answers = lambda _count: named
    file.write_bytes(b"12")
    words = [str(file) if word == "FILE" else word for word in words]
    assert cli.run("infer", "pose", *words) == 0
    assert "      1    0.6  dog\n" in cli.out
    assert cli.run("infer", "pose", *words, "--top", "1", "--json") == 0
    assert json.loads(cli.out)["classes"] == {
        "scores": [{"index": 1, "label": "dog", "value": 0.6000000238418579}]
    }


def test_only_the_classes_of_outputs_that_are_shown(cli: Any, file: Path, named: Answer) -> None:
    both = replace(named, outputs={**named.outputs, "boxes": np.zeros(2, np.float32)})
    cli.mesh.answers = lambda _count: both
    file.write_bytes(b"12")
    assert cli.run("infer", "pose", "--raw", str(file), "--output", "boxes", "--json") == 0
    assert json.loads(cli.out)["classes"] == {}


def test_as_json(cli: Any) -> None:
    assert cli.run("infer", "pose", "--random", "--json") == 0
    found = json.loads(cli.out)
    assert found["classes"] == {}
    assert (found["schema_version"], found["status"]) == (1, "ok")
    assert (found["model_name"], found["model_version"]) == ("pose", "90cbd402aaaa")
    assert found["outputs"][0]["shape"] == [1, 4]
    assert found["timing"]["stages"][1]["compute_s"] == 0.0062
    assert found["load"]["answered"] == 1


def test_measuring(cli: Any) -> None:
    assert cli.run("infer", "pose", "--random", "--count", "20", "--in-flight", "8") == 0
    assert len(cli.mesh.inferred) == 20
    assert "20 requests, 8 under way at once" in cli.out


def test_a_refusal(cli: Any) -> None:
    cli.mesh.answers = lambda _count: OverloadedError("256 requests wait")
    assert cli.run("infer", "pose", "--random", "--count", "3") == 5
    assert (cli.out, cli.err) == ("", "mesh: 256 requests wait\n")


def test_some_refusals(cli: Any, answer: Answer) -> None:
    cli.mesh.answers = lambda count: OverloadedError("full") if count % 2 else answer
    assert cli.run("infer", "pose", "--random", "--count", "4") == 5
    assert "  failed      2 × OVERLOADED" in cli.out


def test_a_step_of_a_session(cli: Any, file: Path) -> None:
    file.write_bytes(b"12")
    session = ["--session", "mine", "--session-start"]
    assert cli.run("infer", "pose", "--raw", str(file), *session) == 0
    assert cli.run("infer", "pose", "--random", "--session", "mine", "--session-end") == 0
    started, ended = SessionUse(name="mine", starts=True), SessionUse(name="mine", ends=True)
    assert cli.mesh.sessions == [started, ended]


def test_a_sequence_is_one_session_of_its_steps(cli: Any, file: Path, tmp_path: Path) -> None:
    write_arrays(file, {"image": np.ones((3, 1, 8, 8, 3), np.float32)})
    saved = tmp_path / "out.npz"
    assert cli.run("infer", "pose", "--npz", str(file), "--sequence", "--save", str(saved)) == 0
    assert [inputs["image"].shape for _, inputs, _ in cli.mesh.inferred] == [(1, 8, 8, 3)] * 3
    marks = [(use.starts, use.ends) for use in cli.mesh.sessions]
    assert marks == [(True, False), (False, False), (False, True)]
    assert len({use.name for use in cli.mesh.sessions}) == 1
    with np.load(saved) as found:
        assert found["scores"].shape == (3, 1, 4)


def test_the_steps_of_a_sequence_name_no_classes(cli: Any, named: Answer) -> None:
    cli.mesh.answers = lambda _count: named
    assert cli.run("infer", "pose", "--random", "--sequence", "--count", "2", "--json") == 0
    assert json.loads(cli.out)["classes"] == {}


def test_a_random_sequence_is_drawn_anew_for_each_step(cli: Any) -> None:
    assert cli.run("infer", "pose", "--random", "--sequence", "--count", "2") == 0
    first, second = (inputs["image"] for _, inputs, _ in cli.mesh.inferred)
    assert not np.array_equal(first, second)
    assert "2 requests, 1 under way at once" in cli.out


def test_a_sequence_that_is_lost_is_an_error(cli: Any, answer: Answer) -> None:
    cli.mesh.answers = lambda count: SessionLostError("it is lost") if count > 1 else answer
    assert cli.run("infer", "pose", "--random", "--sequence", "--count", "3") == 13
    assert (cli.out, cli.err) == ("", "mesh: it is lost\n")


@pytest.mark.parametrize(
    "words",
    [
        ["--session-start"],
        ["--session-end"],
        ["--session", "s", "--sequence"],
        ["--session", "s", "--count", "2"],
        ["--session", ""],
        ["--session", "s" * 65],
    ],
)
def test_what_does_not_go_together(words: list[str], cli: Any) -> None:
    assert cli.run("infer", "pose", "--random", *words) == 2
    assert not cli.mesh.inferred


def test_a_sequence_comes_from_arrays_alone(cli: Any, file: Path) -> None:
    file.write_bytes(b"12")
    assert cli.run("infer", "pose", "--raw", str(file), "--sequence") == 2
    write_arrays(file, {"image": np.ones((3, 1, 8, 8, 3), np.float32)})
    words = ["--npz", str(file), "--sequence", "--count", "3"]
    assert cli.run("infer", "pose", *words) == 2
    assert not cli.mesh.inferred
