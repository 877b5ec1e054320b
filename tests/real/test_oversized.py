"""What exceeds the node's limit is refused by the node; what exceeds the packet limit, by the broker.

The broker takes 64 KiB more than the limit, so that the node can say what is wrong with a request
that is a little too large. Beyond that nobody can reply: an MQTT 5 client was told the limit when
it connected, a 3.1.1 client finds its connection closed.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mesh.client import Client
from mesh.errors import TooLargeError
from mesh.testing.asker import Asker
from mesh.testing.local_mesh import LocalMesh
from mesh.testing.models import residual_cnn
from mesh.testing.mosquitto_programs import mosquitto_pub
from mesh.wire.infer import ErrorReply, InferResponse, PayloadLimits
from mesh.wire.oip_reply import parse_response

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

KIB = 1024
LIMIT_BYTES = 16 * KIB
PACKET_LIMIT_BYTES = LIMIT_BYTES + 64 * KIB
REQUEST = "mesh/1/request/infer/residual"
IMAGE = bytes(12_288)
"""A raw input of the residual CNN."""
SCORES_ONLY = json.dumps(
    {
        "inputs": [
            {
                "name": "image",
                "shape": [1, 32, 32, 3],
                "datatype": "FP32",
                "parameters": {"binary_data_size": len(IMAGE)},
            }
        ],
        "outputs": [{"name": "scores"}],
    }
).encode()
versions = pytest.mark.parametrize("v5", [False, True], ids=["v3.1.1", "v5"])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One node with a limit below the size of the model's reply in JSON."""
    folder = tmp_path_factory.mktemp("mesh")
    file = folder / "residual.tflite"
    file.write_bytes(residual_cnn("float32"))
    with LocalMesh(folder, options=("--max-payload", "16KiB")) as mesh:
        node = mesh.start("node-1")
        mesh.serve(file, "residual")
        yield node.broker_url


def _asker(url: str, *, v5: bool) -> Asker:
    return Asker(url, "residual", SCORES_ONLY + IMAGE, v5=v5)


def _reply(payload: bytes) -> Any:
    return parse_response(payload, PayloadLimits())


@versions
@pytest.mark.parametrize("size_bytes", [LIMIT_BYTES + 1, PACKET_LIMIT_BYTES - KIB])
def test_a_request_over_the_node_s_limit(url: str, size_bytes: int, v5: bool) -> None:
    with _asker(url, v5=v5) as asker:
        [reply] = asker.ask("infer/residual", bytes(size_bytes))
    error = _reply(reply.payload)
    assert isinstance(error, ErrorReply)
    assert (error.code, error.retryable) == ("TOO_LARGE", False)
    assert f"{size_bytes} bytes, at most {LIMIT_BYTES}" in error.message


@versions
def test_an_answer_over_the_node_s_limit(url: str, v5: bool) -> None:
    with _asker(url, v5=v5) as asker:
        [reply] = asker.ask("infer/residual", IMAGE)
        error = _reply(reply.payload)
        assert isinstance(error, ErrorReply)
        assert (error.code, error.retryable) == ("TOO_LARGE", False)
        assert 'fewer "outputs"' in error.message
        [reply] = asker.ask("infer/residual", SCORES_ONLY + IMAGE)
    assert isinstance(_reply(reply.payload), InferResponse)


@versions
def test_a_request_over_the_broker_s_limit_ends_the_connection_and_nothing_else(
    url: str, v5: bool
) -> None:
    with _asker(url, v5=v5) as offender, _asker(url, v5=v5) as other:
        offender.client.publish(REQUEST, bytes(PACKET_LIMIT_BYTES + KIB))
        reason = offender.client.await_end(timeout_s=10)
        assert reason == ("Packet too large" if v5 else "Unspecified error")
        [reply] = other.ask("infer/residual", SCORES_ONLY + IMAGE)
    assert isinstance(_reply(reply.payload), InferResponse)


def test_mosquitto_pub_of_a_request_over_the_broker_s_limit(url: str) -> None:
    payload = bytes(PACKET_LIMIT_BYTES + KIB)
    assert "The connection was lost" in mosquitto_pub(url, REQUEST, payload, "-V", "311")
    # Version 5 of 2.0.11 sends nothing, since it knows the limit, and says nothing either.
    assert not mosquitto_pub(url, REQUEST, payload, "-V", "5")
    with _asker(url, v5=True) as asker:
        [reply] = asker.ask("infer/residual", SCORES_ONLY + IMAGE)
    assert isinstance(_reply(reply.payload), InferResponse)


def test_the_python_client_says_it_before_sending(url: str) -> None:
    with Client(url) as client:
        with pytest.raises(TooLargeError, match=f"at most {PACKET_LIMIT_BYTES}"):
            client.send("residual", bytes(PACKET_LIMIT_BYTES))
        with pytest.raises(TooLargeError, match=f"at most {LIMIT_BYTES}"):
            client.send("residual", bytes(LIMIT_BYTES + 1)).result(10)
        assert client.send("residual", SCORES_ONLY + IMAGE).result(10).outputs
