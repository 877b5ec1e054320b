"""What README.md tells people to paste works as it stands there, but for the host and the port."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mesh.testing.local_mesh import LocalMesh
from mesh.testing.models import tiny_dense
from mesh.wire.control import ImageWish

pytestmark = [pytest.mark.real, pytest.mark.samples, pytest.mark.timeout(180)]

README = Path(__file__).parents[2] / "README.md"
TIMEOUT_S = 60


def _blocks(language: str) -> list[str]:
    text = README.read_text(encoding="utf-8").partition("## Ask it from anywhere")[2]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def serving(
    tmp_path_factory: pytest.TempPathFactory, sample_model: Callable[[str], Path]
) -> Iterator[tuple[LocalMesh, Path]]:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "tiny.tflite").write_bytes(tiny_dense())
    pixels = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "photo.jpg")
    with LocalMesh(folder / "mesh") as mesh:
        mesh.start_all(("node-1", "node-2"))
        mesh.serve(folder / "tiny.tflite", "tiny", split=2)
        mesh.serve(sample_model("pose_landmark_full"), "pose", image=ImageWish())
        yield mesh, folder


def _port(mesh: LocalMesh) -> str:
    return mesh.nodes["node-2"].broker_url.rpartition(":")[2]


def _shell(command: str, mesh: LocalMesh, folder: Path) -> str:
    command = command.replace("-h HOST", f"-h 127.0.0.1 -p {_port(mesh)}")
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return done.stdout


def _reply(subscribe: str, publish: str, mesh: LocalMesh, folder: Path) -> Any:
    """What the subscriber hears; the publisher runs once the broker has taken the subscription."""
    words = shlex.split(subscribe.replace("HOST", f"127.0.0.1 -p {_port(mesh)}").rstrip(" &"))
    words = ["stdbuf", "-oL", *words, "-d", "-W", str(TIMEOUT_S)]  # says when it has subscribed
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        assert any(line.startswith("Subscribed") for line in iter(listener.stdout.readline, ""))
        _shell(publish, mesh, folder)
        heard, _ = listener.communicate(timeout=TIMEOUT_S)
    return json.loads(next(line for line in heard.splitlines() if line.startswith("{")))


def test_mosquitto_pub_and_sub(serving: tuple[LocalMesh, Path]) -> None:
    first, others = [one for one in _blocks("sh") if "mosquitto_pub" in one]
    subscribe, picture = first.strip().split("\n")
    raw, _, with_json = others.partition("# JSON")
    for publish in (picture, raw):
        reply = _reply(subscribe, publish, *serving)
        assert (reply["status"], len(reply["outputs"])) == ("ok", 5)
    reply = _reply(subscribe.replace("pose", "tiny"), with_json.partition("\n")[2], *serving)
    assert (reply["id"], [one["name"] for one in reply["outputs"]]) == ("7", ["y"])


def test_mosquitto_rr(serving: tuple[LocalMesh, Path]) -> None:
    (command,) = [one for one in _blocks("sh") if "mosquitto_rr" in one]
    reply = json.loads(_shell(command, *serving))
    assert reply["outputs"][0]["shape"] == [1, 4]


def test_python(serving: tuple[LocalMesh, Path]) -> None:
    mesh, folder = serving
    ours, plain = _blocks("python")
    ours = ours.replace("mesh.Client()", f'mesh.Client("mqtt://127.0.0.1:{_port(mesh)}")')
    plain = plain.replace('connect("HOST")', f'connect("127.0.0.1", {_port(mesh)})')
    said = []
    for program in (ours, plain):
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        said.append(done.stdout)
    values = json.loads(said[1])["outputs"][0]["data"]
    assert np.allclose(values, np.fromstring(said[0].partition("]]")[0].strip("["), sep=" "))


def test_the_replies_shown_are_as_they_really_are(serving: tuple[LocalMesh, Path]) -> None:
    (shown,) = _blocks("json")
    answer, refusal = (json.loads(one) for one in re.split(r"\n(?=\{)", shown.strip()))
    mesh, _ = serving
    with mesh.client() as client:
        body = {"id": "7", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 8]}]}
        body["inputs"][0]["data"] = [1.0] * 8  # type: ignore[index]
        response = client.send("tiny", json.dumps(body).encode()).result(TIMEOUT_S)
        assert response.timing is not None
    assert set(answer) == {"id", "model_name", "model_version", "status", "outputs", "timing"}
    assert set(answer["timing"]["stages"][0]) == {
        "node",
        "name",
        "layers",
        "queue_ms",
        "compute_ms",
    }
    assert set(refusal) >= {"id", "model_name", "status", "code", "retryable", "error"}
