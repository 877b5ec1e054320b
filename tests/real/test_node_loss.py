"""Three real nodes form, a fourth joins, one is killed at full load: nothing is lost, doubled or wrong."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.testing.local_mesh import LocalMesh, await_status
from mesh.testing.models import residual_cnn
from mesh.transport.paho_bus import PahoConnector
from mesh.transport.port import BusEvent, Connected, Message
from mesh.wire.control import ModelStatus, StatusReply
from mesh.wire.infer import InferResponse, PayloadLimits
from mesh.wire.oip_reply import parse_response

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

REQUESTS = 200
BEFORE_THE_KILL = 30


class Asker:
    """Sends requests at once and keeps every reply message, also a second one."""

    def __init__(self, url: str) -> None:
        self.replies: list[tuple[bytes, InferResponse | Any]] = []
        self._changed = threading.Condition()
        self._up = threading.Event()
        self._bus = PahoConnector().connect(url, client_id="asker", on_event=self._heard)
        self._bus.subscribe("mesh/1/response/infer/residual/asker", qos=1)
        assert self._up.wait(10)

    def ask(self, key: bytes, payload: bytes) -> None:
        message = Message(
            topic="mesh/1/request/infer/residual/asker",
            payload=payload,
            qos=1,
            correlation_data=key,
        )
        self._bus.publish(message)

    def await_replies(self, count: int, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self.replies) >= count, timeout_s)

    def close(self) -> None:
        self._bus.close()

    def _heard(self, event: BusEvent) -> None:
        if isinstance(event, Connected):
            self._up.set()
        elif isinstance(event, Message):
            reply = parse_response(event.payload, PayloadLimits())
            with self._changed:
                self.replies.append((event.correlation_data or b"", reply))
                self._changed.notify_all()


def _victim(status: StatusReply, model: ModelStatus, kind: str) -> str:
    """A node that runs a stage and is not the one asked: the coordinator, or another."""
    roles = {node.node_id: node for node in status.nodes}
    stages = [roles[stage.node_id] for stage in model.replicas if stage.node_id != status.asked]
    wanted = [node.name for node in stages if node.is_coordinator == (kind == "coordinator")]
    return wanted[0] if wanted else stages[0].name


@pytest.mark.parametrize("kind", ["coordinator", "stage"])
def test_a_killed_node_costs_no_request(
    mesh_of_three: LocalMesh, tmp_path: Path, whole_model: Callable[[Path], Any], kind: str
) -> None:
    mesh = mesh_of_three
    file = tmp_path / "residual.tflite"
    file.write_bytes(residual_cnn("float32"))
    whole = whole_model(file)
    model = mesh.serve(file, "residual", split=3)
    assert len(model.stages) == 3

    mesh.start("node-4")
    with mesh.client() as client:
        status = await_status(client, _all_four_ready, timeout_s=30, what="the fourth node to join")
        model = next(one for one in client.status().models if one.name == "residual")
    asked = next(node.name for node in status.nodes if node.node_id == status.asked)

    inputs = {i: whole.draw(i) for i in range(REQUESTS)}
    asker = Asker(mesh.nodes[asked].broker_url)
    try:
        for i in range(REQUESTS):
            asker.ask(b"%d" % i, next(iter(inputs[i].values())).tobytes())
        assert asker.await_replies(BEFORE_THE_KILL, 60)
        mesh.kill(_victim(status, model, kind))
        assert asker.await_replies(REQUESTS, 60), mesh.logs()
        with mesh.client(asked) as client:
            # Another request's whole way: what a late duplicate would have needed, too.
            client.infer("residual", inputs[0])
    finally:
        asker.close()

    assert Counter(key for key, _ in asker.replies) == {b"%d" % i: 1 for i in range(REQUESTS)}
    for key, reply in asker.replies:
        assert isinstance(reply, InferResponse), reply
        expected = whole.answer(inputs[int(key)])
        assert {output.name: output.data for output in reply.outputs} == expected


def _all_four_ready(status: StatusReply) -> StatusReply | None:
    states = [node.state for node in status.nodes]
    return status if states == ["ready"] * 4 else None


def test_a_node_that_comes_back_serves_again(
    mesh_of_three: LocalMesh, tmp_path: Path, whole_model: Callable[[Path], Any]
) -> None:
    mesh = mesh_of_three
    file = tmp_path / "residual.tflite"
    file.write_bytes(residual_cnn("float32"))
    whole = whole_model(file)
    mesh.serve(file, "residual", split=3)
    mesh.kill("node-3")
    inputs = whole.draw(7)
    with mesh.client("node-1") as client:
        answer = client.infer("residual", inputs)
        assert {n: a.tobytes() for n, a in answer.outputs.items()} == whole.answer(inputs)
        mesh.start("node-3")
        model = await_status(
            client, _three_stages, timeout_s=60, what="the plan to use all three nodes again"
        )
        answer = client.infer("residual", inputs)
    assert {stage.node_name for stage in model.replicas} == {"node-1", "node-2", "node-3"}
    assert all(
        np.array_equal(array.tobytes(), whole.answer(inputs)[name])
        for name, array in answer.outputs.items()
    )


def _three_stages(status: StatusReply) -> ModelStatus | None:
    model = next(one for one in status.models if one.name == "residual")
    return model if model.state == "serving" and len(model.stages) == 3 else None
