"""A real node is drained at full load: no request is lost or wrong, and it stays empty until told otherwise."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesh.demo.load import LoadReport, Question, run_load
from mesh.testing.local_mesh import LocalMesh, await_status
from mesh.testing.models import residual_cnn
from mesh.wire.control import StatusReply
from tests.real.conftest import Oracle

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

BATCH = 50
IN_FLIGHT = 8
LONGEST_PAUSE_S = 10.0


class Load(threading.Thread):
    """Asks one node in batches until it is told that it is enough."""

    def __init__(self, mesh: LocalMesh, node: str, question: Question) -> None:
        super().__init__(name="load")
        self.reports: list[LoadReport] = []
        self.first = threading.Event()
        self.enough = threading.Event()
        self._mesh, self._node, self._question = mesh, node, question

    def run(self) -> None:
        with self._mesh.client(self._node) as client:
            while not self.enough.is_set():
                self.reports.append(
                    run_load(client, self._question, count=BATCH, in_flight=IN_FLIGHT)
                )
                self.first.set()

    def check(self) -> None:
        """Every request got its one answer, and soon."""
        assert [one.failures for one in self.reports] == [[]] * len(self.reports)
        assert all((one.answered, one.wrong) == (BATCH, 0) for one in self.reports)
        assert max(one.longest_pause_s() for one in self.reports) < LONGEST_PAUSE_S


def told(mesh: LocalMesh, asked: str, *words: str) -> dict[str, Any]:
    """What the command says, as JSON."""
    command = [sys.executable, "-m", "mesh", *words, "--json"]
    done = subprocess.run(
        [*command, "--url", mesh.nodes[asked].broker_url],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def at_work(status: StatusReply) -> list[str]:
    """Who runs a stage."""
    (model,) = status.models
    return [one.node_name for stage in model.stages for one in stage.replicas]


@pytest.mark.parametrize("asks", ["itself", "another"])
def test_a_node_is_drained_at_full_load(
    mesh_of_three: LocalMesh, tmp_path: Path, whole_model: Callable[[Path], Oracle], asks: str
) -> None:
    mesh, file = mesh_of_three, tmp_path / "residual.tflite"
    file.write_bytes(residual_cnn("float32"))
    mesh.serve(file, "residual", split=2)
    inputs = (whole := whole_model(file)).draw(1)
    question = Question(model_name="residual", inputs=inputs, expected=whole.answer(inputs))
    with mesh.client() as client:
        node = at_work(client.status())[0]
    other = next(name for name in mesh.nodes if name != node)

    load = Load(mesh, node if asks == "itself" else other, question)
    load.start()
    try:
        assert load.first.wait(60)
        drained = told(mesh, other, "drain", node)
        assert (drained["name"], drained["state"], drained["is_empty"]) == (node, "draining", True)
        with mesh.client(node) as client:
            assert node not in at_work(client.status())
            again = client.infer("residual", inputs)
            assert {n: a.tobytes() for n, a in again.outputs.items()} == question.expected
    finally:
        load.enough.set()
        load.join()
    load.check()


def test_a_drained_node_stays_so_until_it_is_used_again(
    mesh_of_three: LocalMesh, tmp_path: Path
) -> None:
    mesh, file = mesh_of_three, tmp_path / "residual.tflite"
    file.write_bytes(residual_cnn("float32"))
    mesh.serve(file, "residual", split=2)
    assert told(mesh, "node-1", "drain", "node-3")["is_empty"]
    mesh.stop("node-3")
    mesh.start("node-3")
    with mesh.client("node-1") as client:
        await_status(client, lambda s: state(s, "node-3") == "draining", timeout_s=30, what="it")
        assert "node-3" not in at_work(client.status())
        assert told(mesh, "node-1", "undrain", "node-3")["state"] == "ready"
        await_status(client, lambda s: state(s, "node-3") == "ready", timeout_s=30, what="it")


def test_the_last_node_is_told_to_be_the_last(mesh_of_three: LocalMesh, tmp_path: Path) -> None:
    mesh, file = mesh_of_three, tmp_path / "residual.tflite"
    file.write_bytes(residual_cnn("float32"))
    mesh.serve(file, "residual")
    for name in ("node-2", "node-3"):
        assert told(mesh, "node-1", "drain", name)["is_empty"]
    refused = told(mesh, "node-1", "drain", "node-1")
    assert refused["code"] == "INFEASIBLE"
    assert "still runs what no other node can" in refused["error"]
    with mesh.client("node-1") as client:
        assert at_work(client.status()) == ["node-1"]


def state(status: StatusReply, name: str) -> str:
    return next(node.state for node in status.nodes if node.name == name)
