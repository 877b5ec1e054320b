"""`mesh model add`, from the file to the lines that ask the model."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesh.ids import ModelId, NodeId
from mesh.planning.wishes import Wishes
from mesh.testing.models import residual_cnn, tiny_dense
from mesh.testing.sequence_models import gated_cell
from mesh.wire.control import AddModelRequest, ImageWish, StatusReply, Verb


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pose.tflite"
    path.write_bytes(residual_cnn("float32", blocks=1))
    return path


@pytest.fixture
def served(cli: Any, status: StatusReply) -> StatusReply:
    """The name is served under the content id that the fake upload gives, and is not taken."""
    cli.mesh.statuses.appendleft(replace(status, models=()))
    return status


def added(cli: Any) -> AddModelRequest:
    (request,) = (request for verb, request in cli.mesh.asked if verb is Verb.MODEL_ADD)
    assert isinstance(request, AddModelRequest)
    return request


@pytest.mark.usefixtures("served")
def test_the_whole_way(cli: Any, file: Path) -> None:
    assert cli.run("model", "add", str(file)) == 0
    assert cli.uploads == [("http://pi5-kitchen.local:8080", file)]
    assert added(cli).name == "pose"
    assert cli.out.startswith("pose  139 layers in 2 stages on 2 nodes\n")
    assert cli.out.endswith(
        "\nAsk it:\n"
        "  mesh infer pose --image photo.jpg\n"
        "  mosquitto_sub -h 192.168.1.20 -p 1883 \\\n"
        "    -t mesh/1/response/infer/pose -C 1 &\n"
        "  mosquitto_pub -h 192.168.1.20 -p 1883 \\\n"
        "    -t mesh/1/request/infer/pose -f photo.jpg\n"
    )
    assert cli.err.startswith("uploading pose.tflite ")
    assert max(map(len, cli.out.splitlines())) <= 80


@pytest.mark.usefixtures("served")
def test_every_option_travels(cli: Any, file: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\n")
    words = ["--split", "2", "--replace", "--image-scale", "0.5", "--image-offset", "-1"]
    words += ["--never", "zero", "--latency-bound", "50ms"]
    words += ["--image-mode", "crop", "--image-channels", "BGR", "--labels", str(labels)]
    assert cli.run("model", "add", str(file), "--name", "pose", *words) == 0
    assert added(cli) == AddModelRequest(
        model_id=ModelId("90cbd402" * 8),
        name="pose",
        wishes=Wishes(min_stages=2, never=(NodeId("zero"),), latency_bound_s=0.05),
        image=ImageWish(scale=0.5, offset=-1.0, mode="crop", channels="BGR"),
        labels=("cat", "dog"),
        replace=True,
    )


@pytest.mark.usefixtures("served")
def test_pictures_with_the_defaults(cli: Any, file: Path) -> None:
    assert cli.run("model", "add", str(file), "--image") == 0
    assert added(cli).image == ImageWish()


@pytest.mark.usefixtures("served")
def test_as_json(cli: Any, file: Path) -> None:
    assert cli.run("model", "add", str(file), "--json") == 0
    assert cli.err == ""
    found = json.loads(cli.out)
    assert (found["schema_version"], found["name"], found["is_serving"]) == (1, "pose", True)
    assert (found["cuts"], found["plan"]["operators"]) == (2, 139)


@pytest.mark.usefixtures("served")
def test_without_waiting(cli: Any, file: Path) -> None:
    assert cli.run("model", "add", str(file), "--no-wait", "--mesh", "lab") == 0
    assert cli.out.startswith("pose was added; `mesh status` shows when it is served\n\nAsk it:\n")
    assert "mesh infer pose --image photo.jpg --mesh lab\n" in cli.out
    assert Verb.PLAN not in [verb for verb, _ in cli.mesh.asked]
    cli.run("model", "add", str(file), "--no-wait", "--json", "--replace")
    assert json.loads(cli.out)["is_serving"] is False


def test_a_name_that_is_taken_is_refused_before_the_upload(cli: Any, file: Path) -> None:
    assert cli.run("model", "add", str(file)) == 2
    assert "another model is served as 'pose'" in cli.err
    assert not cli.uploads
    assert cli.run("model", "add", str(file), "--replace") == 0


def test_a_bad_file_causes_no_traffic(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(b"not a model at all")
    assert cli.run("model", "add", str(path)) == 3
    assert not cli.whereabouts


@pytest.mark.parametrize(
    "words",
    [["--image-scale", "0"], ["--image-mode", "zoom"], ["--split", "x"], ["--image-scale", "x"]],
)
def test_wrong_options(words: list[str], cli: Any, file: Path) -> None:
    assert cli.run("model", "add", str(file), *words) == 2
    assert not cli.whereabouts


def test_pictures_for_a_model_that_takes_none(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "tiny.tflite"
    path.write_bytes(tiny_dense())
    assert cli.run("model", "add", str(path), "--image") == 2
    assert "takes no pictures" in cli.err


def test_a_node_that_takes_no_files(cli: Any, file: Path, status: StatusReply) -> None:
    cli.mesh.statuses[0] = replace(status, models=(), asked=NodeId("f" * 16))
    assert cli.run("model", "add", str(file)) == 12


@pytest.mark.usefixtures("served")
def test_what_was_changed_in_the_file_is_said_and_uploaded(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "cell.tflite"
    path.write_bytes(gated_cell(declares_state=False))
    words = ["--state", "h=next_h", "--state", "c=next_c", "--input-shape", "x=1,8", "--no-wait"]
    assert cli.run("model", "add", str(path), "--name", "pose", *words) == 0
    assert cli.err.startswith(
        "cell.tflite: its shapes are fixed for the input x [1, 8], h [1, 16], c [1, 16]\n"
        "cell.tflite: it keeps state between requests: h takes over next_h, c next_c\n"
    )
    ((_, uploaded),) = cli.uploads
    assert uploaded.name == path.name
    assert uploaded != path
    assert not uploaded.exists()  # it was made for the upload
    assert cli.run("model", "add", str(path), "--name", "pose", *words, "--json", "--replace") == 0
    assert len(json.loads(cli.out)["notes"]) == 2


def test_limits_of_models_are_read_from_the_environment(cli: Any, file: Path) -> None:
    cli.environment["MESH_MAX_TENSOR_BYTES"] = "1000"
    assert cli.run("model", "add", str(file)) == 3
    assert "the limit is 1000" in cli.err
    assert not cli.whereabouts
