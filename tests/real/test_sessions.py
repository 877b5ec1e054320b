"""Sessions over real nodes: the same bits as the whole model step by step, and an error when state is lost."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import SessionLostError, UnknownSessionError
from mesh.node.control import LINGER_S
from mesh.testing.local_mesh import LocalMesh, await_status
from mesh.testing.sequence_models import gated_cell, running_total, variable_filter
from mesh.wire.control import ModelStatus, StatusReply
from mesh.wire.infer import SessionUse

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

STEPS = 20
MODELS: dict[str, Callable[[], bytes]] = {
    "gated-cell": gated_cell,
    "variable-filter": variable_filter,
    "running-total": running_total,
}


NODES = ("node-1", "node-2", "node-3")


@pytest.fixture(scope="module", params=[2, 3])
def mesh(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    measured: tuple[str, str],
) -> Iterator[LocalMesh]:
    """As many nodes as a model is to have stages: it cannot have more."""
    with LocalMesh(tmp_path_factory.mktemp("mesh"), options=measured) as mesh:
        mesh.start_all(NODES[: request.param])
        yield mesh


def _file(folder: Path, name: str) -> Path:
    path = folder / f"{name}.tflite"
    path.write_bytes(MODELS[name]())
    return path


def _bits(answer: Any) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in answer.outputs.items()}


@pytest.mark.parametrize("name", MODELS)
def test_a_session_is_the_whole_model_step_by_step(
    mesh: LocalMesh, tmp_path: Path, whole_model: Callable[[Path], Any], name: str
) -> None:
    file = _file(tmp_path, name)
    whole = whole_model(file)
    model = mesh.serve(file, name, split=len(mesh.nodes))
    assert len(model.stages) == len(mesh.nodes)
    with mesh.client() as client, client.session(name) as session:
        whole.restart()
        seen = []
        for step in range(STEPS):
            inputs = whole.draw(step)
            answer = session.infer(inputs)
            expected = whole.step([array.tobytes() for array in inputs.values()])
            assert _bits(answer) == expected, f"step {step}"
            seen.append(_bits(client.infer(name, inputs)) == expected)
        # Without a session each request begins from zeros, which only the first step did here.
        assert seen == [True] + [False] * (STEPS - 1)


def test_two_sessions_at_once_do_not_mix(
    mesh: LocalMesh, tmp_path: Path, whole_model: Callable[[Path], Any]
) -> None:
    file = _file(tmp_path, "gated-cell")
    mesh.serve(file, "gated-cell", split=2)
    wholes = [whole_model(file), whole_model(file)]
    with mesh.client("node-1") as one, mesh.client("node-2") as other:
        sessions = [one.session("gated-cell"), other.session("gated-cell")]
        for whole in wholes:
            whole.restart()
        for step in range(STEPS):
            for place, (session, whole) in enumerate(zip(sessions, wholes, strict=True)):
                inputs = whole.draw(2 * step + place)
                expected = whole.step([array.tobytes() for array in inputs.values()])
                assert _bits(session.infer(inputs)) == expected
        for session in sessions:
            session.close()


def test_a_session_is_known_to_the_node_that_it_began_at_alone(
    mesh: LocalMesh, tmp_path: Path, whole_model: Callable[[Path], Any]
) -> None:
    file = _file(tmp_path, "gated-cell")
    inputs = whole_model(file).draw(0)
    mesh.serve(file, "gated-cell", split=2)
    with mesh.client("node-1") as one, mesh.client("node-2") as other:
        one.infer("gated-cell", inputs, session=SessionUse(name="mine", starts=True))
        with pytest.raises(UnknownSessionError, match="session_start"):
            other.infer("gated-cell", inputs, session=SessionUse(name="mine"))
        one.infer("gated-cell", inputs, session=SessionUse(name="mine", ends=True))
        with pytest.raises(UnknownSessionError):
            one.infer("gated-cell", inputs, session=SessionUse(name="mine"))


def test_a_new_plan_leaves_open_sessions_where_they_are(
    tmp_path: Path, measured: tuple[str, str], whole_model: Callable[[Path], Any]
) -> None:
    file = _file(tmp_path, "gated-cell")
    whole = whole_model(file)
    with LocalMesh(tmp_path / "mesh", options=measured) as mesh:
        mesh.start_all(NODES[:2])
        before = mesh.serve(file, "gated-cell", split=1)
        with mesh.client() as client, client.session("gated-cell") as session:
            whole.restart()
            _same(session, whole, range(3))
            after = mesh.serve(file, "gated-cell", split=2)
            assert (len(before.stages), len(after.stages)) == (1, 2)
            _same(session, whole, range(3, 6))
            until_s = time.monotonic() + LINGER_S + 1
            await_status(
                client,
                lambda _status: time.monotonic() > until_s,
                timeout_s=60,
                what="the time that stages without sessions stay",
            )
            _same(session, whole, range(6, 9))


@pytest.mark.parametrize("name", ["gated-cell", "running-total"])
def test_a_lost_node_is_an_error_and_a_new_session_works(
    tmp_path: Path, measured: tuple[str, str], whole_model: Callable[[Path], Any], name: str
) -> None:
    file = _file(tmp_path, name)
    whole = whole_model(file)
    with LocalMesh(tmp_path / "mesh", options=measured) as mesh:
        mesh.start_all(("node-1", "node-2", "node-3"))
        model = mesh.serve(file, name, split=2)
        asked, victim = model.replicas[0].node_name, model.replicas[-1].node_name
        with mesh.client(asked) as client:
            session = client.session(name)
            whole.restart()
            _same(session, whole, range(3))
            assert _model(client.status(), name).sessions == 1
            mesh.kill(victim)
            with pytest.raises(SessionLostError):
                session.infer(whole.draw(3))
            with pytest.raises(SessionLostError):
                session.infer(whole.draw(4))
            await_status(
                client, lambda status: _serving(status, name), timeout_s=60, what="a new plan"
            )
            with client.session(name) as again:
                whole.restart()
                _same(again, whole, range(3))


def _same(session: Any, whole: Any, seeds: range) -> None:
    for seed in seeds:
        inputs = whole.draw(seed)
        expected = whole.step([array.tobytes() for array in inputs.values()])
        assert _bits(session.infer(inputs)) == expected, f"step {seed}"


def _model(status: StatusReply, name: str) -> ModelStatus:
    return next(model for model in status.models if model.name == name)


def _serving(status: StatusReply, name: str) -> ModelStatus | None:
    model = _model(status, name)
    return model if model.state == "serving" else None


def test_what_the_readme_says_works(
    tmp_path: Path, measured: tuple[str, str], whole_model: Callable[[Path], Any]
) -> None:
    text = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?client\.session\(.*?)```", text, re.DOTALL)
    file = _file(tmp_path, "gated-cell")
    whole = whole_model(file)
    with LocalMesh(tmp_path / "mesh", options=measured) as mesh:
        mesh.start_all(NODES[:1])
        mesh.serve(file, "cell")
        url = mesh.nodes[NODES[0]].broker_url
        done = subprocess.run(
            [sys.executable, "-c", program.replace("mesh.Client()", f'mesh.Client("{url}")')],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    frames = np.random.default_rng(0).random((20, 1, 8), np.float32)
    whole.restart()
    expected = [np.frombuffer(whole.step([x.tobytes()])["y"], "<f4") for x in frames]
    assert done.stdout.splitlines() == [str(y.reshape(1, 4)) for y in expected]
