"""Requests that cannot be answered in time or at all yet: deadlines, and models that come and go."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh.errors import DeadlineExceededError
from mesh.store.http_client import upload
from mesh.testing.local_mesh import LocalMesh, await_serving, await_status
from mesh.testing.models import tiny_dense
from mesh.testing.mqtt_client import Heard, MqttClient
from mesh.wire.control import (
    AddModelReply,
    AddModelRequest,
    RemoveModelReply,
    RemoveModelRequest,
    StatusReply,
    Verb,
)
from mesh.wire.infer import ErrorReply, InferResponse, PayloadLimits
from mesh.wire.oip_reply import parse_response

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

IMAGE = {"name": "image", "shape": [1, 32, 32, 3], "datatype": "FP32", "data": [0.5] * 3072}
TINY = bytes(32)
"""One sound input of the tiny model: float32 [1, 8]."""
UNDER_WAY = 30


def _json(**more: Any) -> bytes:
    return json.dumps({"inputs": [IMAGE], **more}).encode()


def _error(reply: Heard) -> ErrorReply:
    found = parse_response(reply.payload, PayloadLimits())
    assert isinstance(found, ErrorReply), found
    return found


def _is_answer(reply: Heard) -> bool:
    return isinstance(parse_response(reply.payload, PayloadLimits()), InferResponse)


@pytest.fixture
def frozen(serving: Any) -> Iterator[str]:
    """The last stage's node, stopped as a machine that hangs; lets it go on before it counts as lost."""
    process = serving.mesh.nodes[serving.nodes[-1]].process
    os.kill(process.pid, signal.SIGSTOP)
    yield serving.nodes[-1]
    os.kill(process.pid, signal.SIGCONT)


def test_deadlines_are_kept(serving: Any, frozen: str) -> None:
    wishes: list[tuple[bytes, dict[str, Any]]] = [
        (_json(parameters={"timeout_ms": 300}), {}),
        (_json(parameters={"timeout_ms": 30_000}), {"MessageExpiryInterval": 1}),
    ]
    with serving.asker(serving.nodes[0]) as asker:
        for (payload, properties), expected_s in zip(wishes, (0.3, 1.0), strict=True):
            asked_s = time.monotonic()
            asker.client.publish("mesh/1/request/infer/residual", payload, **properties)
            [reply] = asker.client.take(1, timeout_s=5)
            took_s = time.monotonic() - asked_s
            assert (_error(reply).code, _error(reply).retryable) == ("DEADLINE_EXCEEDED", True)
            assert expected_s - 0.05 < took_s < expected_s + 0.5
    with serving.mesh.client(serving.nodes[0]) as client, pytest.raises(DeadlineExceededError):
        client.infer("residual", serving.whole.draw(0), timeout_s=0.2)


def test_after_the_deadline_nothing_more_is_said(serving: Any) -> None:
    """The stage that was frozen goes on and answers: nobody waits for that any more."""
    node = serving.mesh.nodes[serving.nodes[-1]].process
    with serving.asker(serving.nodes[0]) as asker:
        os.kill(node.pid, signal.SIGSTOP)
        try:
            late = _json(parameters={"timeout_ms": 200})
            asker.client.publish("mesh/1/request/infer/residual", late)
            [reply] = asker.client.take(1, timeout_s=5)
        finally:
            os.kill(node.pid, signal.SIGCONT)
        assert _error(reply).code == "DEADLINE_EXCEEDED"
        asker.client.publish("mesh/1/request/infer/residual", _json(id="next"))
        [reply] = asker.take(1)
    assert (_is_answer(reply), json.loads(reply.payload)["id"]) == (True, "next")


# Models that come and go


def _add(mesh: LocalMesh, node: str, folder: Path, name: str) -> None:
    file = folder / "tiny.tflite"
    file.write_bytes(tiny_dense())
    wish = AddModelRequest(model_id=upload(mesh.nodes[node].http_url, file), name=name)
    with mesh.client(node) as client:
        client.ask(Verb.MODEL_ADD, wish, AddModelReply, timeout_s=30)


def _remove(mesh: LocalMesh, node: str, name: str) -> None:
    with mesh.client(node) as client:
        wish = RemoveModelRequest(name=name)
        client.ask(Verb.MODEL_REMOVE, wish, RemoveModelReply, timeout_s=10)


def _lacks_memory(status: StatusReply) -> bool:
    return any("memory" in (model.problem or "") for model in status.models)


def test_a_model_that_has_no_plan(tmp_path: Path, measured: tuple[str, str]) -> None:
    """One node, with less memory than the model needs."""
    with LocalMesh(
        tmp_path, options=("--memory", "1KiB", "--no-mdns", *measured), measure_each=True
    ) as mesh:
        url = mesh.start("node-1").broker_url
        _add(mesh, "node-1", tmp_path, "tiny")
        with mesh.client() as client:
            await_status(client, _lacks_memory, timeout_s=20, what="the reason to be known")
        for v5 in (False, True):
            with MqttClient(url, "mesh/1/response/#", v5=v5) as asker:
                for name in ("first", "second"):
                    asker.publish(f"mesh/1/request/infer/tiny/{name}", TINY)
                replies = asker.take(2, timeout_s=5)
            assert [one.topic.rpartition("/")[2] for one in replies] == ["first", "second"]
            for reply in replies:
                error = _error(reply)
                assert (error.code, error.retryable) == ("NO_PLAN", True)
                assert error.retry_after_s is not None
                assert "tiny has no plan yet: " in error.message
                assert "memory" in error.message


def test_a_model_that_was_just_added_is_refused_or_answered_once(
    serving: Any, tmp_path: Path
) -> None:
    node = serving.nodes[0]
    _add(serving.mesh, node, tmp_path, "fresh")
    with serving.asker(node) as asker:
        [reply] = asker.ask("infer/fresh/me", TINY)
        assert _is_answer(reply) or (_error(reply).code, _error(reply).retryable) == (
            "NO_PLAN",
            True,
        )
    _remove(serving.mesh, node, "fresh")


def test_a_model_that_is_removed_under_way(serving: Any, asked: str, tmp_path: Path) -> None:
    node = serving.nodes[0]
    _add(serving.mesh, node, tmp_path, "brief")
    with serving.mesh.client(asked) as client:
        await_serving(client, "brief")
    with serving.asker(asked) as asker:
        for number in range(UNDER_WAY):
            asker.client.publish(f"mesh/1/request/infer/brief/{number}", TINY)
            if number == UNDER_WAY // 2:
                _remove(serving.mesh, node, "brief")
        # The reply to the removal is heard, too.
        replies = [one for one in asker.take(UNDER_WAY) if "/infer/brief/" in one.topic]
        assert sorted(int(reply.topic.rpartition("/")[2]) for reply in replies) == list(
            range(UNDER_WAY)
        )
        codes = {_error(reply).code for reply in replies if not _is_answer(reply)}
        assert codes <= {"UNKNOWN_MODEL", "NO_PLAN"}
        with serving.mesh.client(asked) as client:
            await_status(
                client,
                lambda status: all(model.name != "brief" for model in status.models),
                timeout_s=10,
                what="the removal to be known",
            )
    with serving.asker(asked) as asker:
        [reply] = asker.ask("infer/brief/me", TINY)
    assert (_error(reply).code, _error(reply).retryable) == ("UNKNOWN_MODEL", False)
