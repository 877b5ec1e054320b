"""Real node processes: they start, are killed, stop, and never outlive who started them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from mesh.client import Client
from mesh.errors import DeadlineExceededError, NodeLostError, UsageError
from mesh.testing.local_mesh import LocalMesh, await_status, local_mesh
from mesh.testing.models import tiny_dense

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

PATIENCE_S = 20.0
STARTER = """
import sys
from pathlib import Path
from mesh.testing.local_mesh import LocalMesh
mesh = LocalMesh(Path(sys.argv[1]))
print(mesh.start("orphan").pid, flush=True)
sys.stdin.read()
"""


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def survivors(processes: list[psutil.Process]) -> list[psutil.Process]:
    return psutil.wait_procs(processes, timeout=PATIENCE_S)[1]


def test_one_life(tmp_path: Path) -> None:
    """Start, serve, kill, start again, stop, close: one mesh, since starting takes its time."""
    file = tmp_path / "tiny.tflite"
    file.write_bytes(tiny_dense())
    folder = tmp_path / "mesh"
    with LocalMesh(folder) as mesh:
        mesh.start_all(("one", "two"))
        assert list(mesh.nodes) == ["one", "two"]
        one, two = mesh.nodes["one"], mesh.nodes["two"]
        assert len({one.broker_url, two.broker_url, one.http_url, two.http_url}) == 4
        assert one.log.parent == folder / "one"
        with pytest.raises(UsageError, match="one runs already"):
            mesh.start("one")
        served = mesh.serve(file, "tiny")
        assert served.state == "serving"

        with Client((one.broker_url, two.broker_url)) as client:
            x = np.ones((1, 8), np.float32)
            before = client.infer("tiny", {"x": x}).outputs["y"].tobytes()
            killed = family(one.pid)
            mesh.kill("one")
            assert survivors(killed) == []
            # Another node takes over for a client that knows of it.
            await_status(
                client,
                lambda status: any(model.state == "serving" for model in status.models),
                timeout_s=PATIENCE_S,
                what="the other node to serve alone",
            )
            assert client.url == two.broker_url
            assert client.infer("tiny", {"x": x}).outputs["y"].tobytes() == before

        again = mesh.start("one")
        assert (again.node_id, again.pid) != (one.node_id, one.pid)
        assert again.node_id == one.node_id  # it kept its data
        stopped = family(again.pid)
        mesh.stop("one")
        assert survivors(stopped) == []
        assert list(mesh.nodes) == ["two"]
        assert "--- one\n" in mesh.logs()
        assert "--- two\n" in mesh.logs()
        left = family(two.pid)
    assert survivors(left) == []
    mesh.close()
    assert folder.is_dir()  # whoever named the folder keeps it


def test_a_node_that_does_not_start_is_heard(tmp_path: Path) -> None:
    with (
        LocalMesh(tmp_path) as mesh,
        pytest.raises(NodeLostError, match=r"(?s)node mute did not start .*no_such_option|no-such"),
    ):
        mesh.start("mute", "--no-such-option")
    assert mesh.nodes == {}


def test_a_node_that_refuses_its_settings_says_why(tmp_path: Path) -> None:
    with (
        LocalMesh(tmp_path) as mesh,
        pytest.raises(NodeLostError, match=r"node shy did not start .*port"),
    ):
        mesh.start("shy", "--mqtt-port", "99999")


def test_nodes_that_are_not_up_yet_are_ended_too() -> None:
    with LocalMesh() as mesh:
        folder = mesh.folder
        process = mesh.launch("early")
        assert mesh.nodes == {}
    assert process.returncode is not None
    assert not folder.exists()


def test_a_mesh_in_one_line() -> None:
    with local_mesh(1) as mesh:
        folder = mesh.folder
        with mesh.client() as client:
            assert [node.name for node in client.status().nodes] == ["node-1"]
            with pytest.raises(DeadlineExceededError, match="waited 0 s for wonders"):
                await_status(client, lambda _status: None, timeout_s=0, what="wonders")
    assert not folder.exists()


def test_settings_of_the_environment_do_not_reach_the_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESH_NAME", "stranger")
    monkeypatch.setenv("MESH_MESH_NAME", "strangers")
    with LocalMesh(tmp_path) as mesh, pytest.MonkeyPatch.context():
        node = mesh.start("own")
        environment = psutil.Process(node.pid).environ()
    assert [name for name in environment if name.startswith("MESH_")] == []


def test_nodes_end_with_a_starter_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as starter:
        assert starter.stdout is not None
        orphans = family(int(starter.stdout.readline()))
        starter.send_signal(signal.SIGKILL)
        assert survivors(orphans) == []
