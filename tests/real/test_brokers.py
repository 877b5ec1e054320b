"""Meshes that do not run mosquitto per node over mDNS: amqtt, one shared broker, seeds alone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.testing.asker import Asker
from mesh.testing.local_mesh import LocalMesh, await_status
from mesh.testing.models import residual_cnn
from mesh.testing.mosquitto_programs import mosquitto_pub, mosquitto_sub
from mesh.transport.mosquitto import MosquittoBroker, find_mosquitto
from mesh.transport.ports import free_port
from mesh.wire.control import ModelStatus, StatusReply
from mesh.wire.infer import InferResponse, PayloadLimits
from mesh.wire.oip_reply import parse_response

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

RESPONSE = "mesh/1/response/infer/residual"
REQUESTS = 60
BROKER_PORT = 18_950
"""From here on a free one is looked for: nodes' own brokers take lower ones."""


def _outputs(payload: bytes) -> dict[str, bytes]:
    reply = parse_response(payload, PayloadLimits())
    assert isinstance(reply, InferResponse), reply
    return {output.name: output.data for output in reply.outputs}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "residual.tflite"
    path.write_bytes(residual_cnn("float32"))
    return path


@pytest.fixture
def whole(whole_model: Callable[[Path], Any], file: Path) -> Any:
    return whole_model(file)


def _mesh(folder: Path, measured: tuple[str, str], *options: str) -> LocalMesh:
    return LocalMesh(folder, options=(*options, *measured), measure_each=True)


def _check_client(mesh: LocalMesh, node: str, whole: Any) -> None:
    inputs = whole.draw(1)
    with mesh.client(node) as client:
        answer = client.infer("residual", inputs)
    assert {n: a.tobytes() for n, a in answer.outputs.items()} == whole.answer(inputs)


def _sees(count: int) -> Callable[[StatusReply], bool]:
    def is_so(status: StatusReply) -> bool:
        return [node.state for node in status.nodes].count("ready") == count

    return is_so


def _await_nodes(mesh: LocalMesh, node: str, count: int) -> None:
    with mesh.client(node) as client:
        await_status(client, _sees(count), timeout_s=30, what=f"{count} nodes at {node}")


# amqtt


def test_embedded_broker(tmp_path: Path, file: Path, whole: Any, measured: Any) -> None:
    """It speaks 3.1.1 only: the reply id or the JSON id finds the request."""
    with _mesh(tmp_path, measured, "--broker", "embedded") as mesh:
        mesh.start_all(("node-1", "node-2"))
        model = mesh.serve(file, "residual", split=2)
        assert {stage.node_name for stage in model.replicas} == {"node-1", "node-2"}
        for node in ("node-1", "node-2"):
            inputs, url = whole.draw(2), mesh.nodes[node].broker_url
            raw = inputs["image"].tobytes()
            with Asker(url, "residual", raw, v5=False) as asker:
                [reply] = asker.ask("infer/residual/me", raw)
                assert _outputs(reply.payload) == whole.answer(inputs)
                [reply] = asker.ask("infer/unknown/me", raw)
                assert b'"UNKNOWN_MODEL"' in reply.payload
            with mosquitto_sub(url, RESPONSE + "/me", "-V", "311") as subscription:
                assert not mosquitto_pub(url, "mesh/1/request/infer/residual/me", raw, "-V", "311")
                [printed] = subscription.take(1)
            assert _outputs(printed.payload) == whole.answer(inputs)
            _check_client(mesh, node, whole)


# One broker for all


@pytest.fixture
def shared_url() -> Iterator[str]:
    program = find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed")
    port = free_port("127.0.0.1", BROKER_PORT)
    broker = MosquittoBroker(program, port=port, bind="127.0.0.1")
    broker.start()
    yield broker.url
    broker.stop()


def test_shared_broker(
    tmp_path: Path, file: Path, whole: Any, measured: Any, shared_url: str
) -> None:
    """Retained adverts introduce the nodes; each request goes to one of them."""
    names = ("node-1", "node-2", "node-3")
    with _mesh(tmp_path, measured, "--broker", shared_url, "--no-mdns") as mesh:
        mesh.start_all(names)
        _await_everywhere(mesh, 3, _sees(3), "three nodes to see each other")
        model = mesh.serve(file, "residual", split=3)
        assert {stage.node_name for stage in model.replicas} == set(names)
        _await_everywhere(mesh, 3, _serves, "three nodes to serve")
        drawn = {str(number): whole.draw(number) for number in range(REQUESTS)}
        sound = drawn["0"]["image"].tobytes()
        for v5 in (False, True):
            with Asker(shared_url, "residual", sound, v5=v5) as asker:
                for name, inputs in drawn.items():
                    topic = f"mesh/1/request/infer/residual/{name}"
                    asker.client.publish(topic, inputs["image"].tobytes())
                replies = asker.take(REQUESTS)
            found = {one.topic.rpartition("/")[2]: _outputs(one.payload) for one in replies}
            assert len(replies) == REQUESTS
            assert found == {name: whole.answer(inputs) for name, inputs in drawn.items()}
        _check_after_a_loss(mesh, model, whole)


def _await_everywhere(
    mesh: LocalMesh, count: int, is_so: Callable[[StatusReply], bool], what: str
) -> None:
    """On a shared broker any node answers: ask until each of `count` has said that it is so."""
    agreed: set[str] = set()

    def have_all_agreed(status: StatusReply) -> bool:
        if is_so(status):
            agreed.add(status.asked)
        return len(agreed) == count

    with mesh.client() as client:
        await_status(client, have_all_agreed, timeout_s=30, what=what)


def _serves(status: StatusReply) -> bool:
    return any(model.state == "serving" for model in status.models)


def _check_after_a_loss(mesh: LocalMesh, model: ModelStatus, whole: Any) -> None:
    mesh.kill(model.replicas[1].node_name)
    survivor = model.replicas[0].node_name
    _await_everywhere(mesh, 2, _sees(2), "the loss to be seen")
    _await_everywhere(mesh, 2, _serves, "the two others to serve")
    with mesh.client(survivor) as client:
        for seed in range(10):
            inputs = whole.draw(seed)
            answer = client.infer("residual", inputs, timeout_s=10)
            assert {n: a.tobytes() for n, a in answer.outputs.items()} == whole.answer(inputs)


# Seeds


def test_seeds_alone(tmp_path: Path, file: Path, whole: Any, measured: Any) -> None:
    """The second and third node are told of the first only, and hear of each other from it."""
    with _mesh(tmp_path, measured, "--no-mdns") as mesh:
        first = mesh.start("node-1")
        mesh.start("node-2", "--seed", first.broker_url)
        mesh.start("node-3", "--seed", first.broker_url)
        for node in mesh.nodes:
            _await_nodes(mesh, node, 3)
        model = mesh.serve(file, "residual", split=3)
        assert {stage.node_name for stage in model.replicas} == set(mesh.nodes)
        for node in mesh.nodes:
            _check_client(mesh, node, whole)
