"""Whatever is wrong with a request, exactly one error reply says so, and the node serves on."""

import json
from typing import Any

import pytest

from mesh.testing.mosquitto_programs import mosquitto_rr
from mesh.testing.mqtt_client import Heard
from mesh.wire.infer import ErrorReply, PayloadLimits
from mesh.wire.oip_reply import parse_response

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

KIB = 1024
TENSOR = {"name": "image", "shape": [1, 32, 32, 3], "datatype": "FP32"}
SOUND = {**TENSOR, "data": [0.5] * 3072}
versions = pytest.mark.parametrize("v5", [False, True], ids=["v3.1.1", "v5"])


def _json(*inputs: Any, **more: Any) -> bytes:
    return json.dumps({"inputs": inputs, **more}).encode()


REFUSED = {
    "empty": (b"", "EMPTY_PAYLOAD", "is empty"),
    "not-json": (b'{"inputs": [', "BAD_PAYLOAD", "begins like JSON but is not"),
    "text": (b"hello", "BAD_PAYLOAD", "5 bytes are neither"),
    "no-inputs": (b"{}", "BAD_PAYLOAD", '"inputs" must be a list'),
    "broken-png": (b"\x89PNG\r\n\x1a\nrest", "BAD_PAYLOAD", "PNG cannot be decoded"),
    "broken-jpeg": (b"\xff\xd8\xff\xe0" + bytes(99), "BAD_PAYLOAD", "JPEG cannot be decoded"),
    "raw-too-short": (bytes(12_284), "BAD_PAYLOAD", "12288 bytes"),
    "unknown-input": (_json({**SOUND, "name": "x"}), "BAD_PAYLOAD", "'x' is unknown"),
    "unknown-output": (_json(SOUND, outputs=[{"name": "x"}]), "BAD_PAYLOAD", "'x' is unknown"),
    "shape": (_json({**SOUND, "shape": [1, 3, 32, 32]}), "WRONG_SHAPE", "[1, 32, 32, 3], got"),
    "elements": (_json({**SOUND, "data": [0.5]}), "WRONG_SHAPE", "has 1 elements"),
    "dtype": (_json({**SOUND, "datatype": "INT8"}), "WRONG_DATATYPE", 'must be "FP32"'),
    "strings": (_json({**SOUND, "data": ["a"] * 3072}), "WRONG_DATATYPE", "found strings"),
    "timeout": (_json(SOUND, parameters={"timeout_ms": 0}), "BAD_PAYLOAD", "timeout_ms"),
    "too-large": (bytes(129 * KIB), "TOO_LARGE", "at most 131072"),
    "json-too-large": (b'{"inputs":"' + b"x" * 127 * KIB, "BAD_PAYLOAD", "not: Unterminated"),
}
BAD_RESPONSE_TOPICS = {
    "loop": "mesh/1/request/infer/residual",
    "forged": "mesh/1/frame/0123456789abcdef/result",
    "plus": "client/+",
    "hash": "client/#",
    "dollar": "$SYS/client",
    "empty": "",
    "long": "client/" + "€" * 400,
}


def _error(reply: Heard) -> ErrorReply:
    found = parse_response(reply.payload, PayloadLimits())
    assert isinstance(found, ErrorReply), found
    assert found.message.strip()
    return found


# The request itself


@versions
@pytest.mark.parametrize("kind", REFUSED)
def test_a_request_that_is_no_good(serving: Any, asked: str, kind: str, v5: bool) -> None:
    payload, code, told = REFUSED[kind]
    with serving.asker(asked, v5=v5) as asker:
        [reply] = asker.ask("infer/residual/me", payload)
    error = _error(reply)
    assert (reply.topic, error.code) == ("mesh/1/response/infer/residual/me", code)
    assert told in error.message
    assert (error.retryable, error.retry_after_s) == (False, None)


def test_the_content_type_decides(serving: Any, asked: str) -> None:
    wrong = {
        "application/json": ("BAD_PAYLOAD", "not"),
        "image/png": ("BAD_PAYLOAD", "neither JPEG nor PNG"),
        "application/octet-stream": ("WRONG_SHAPE", "need 12288 bytes"),
    }
    with serving.asker(asked) as asker:
        for content_type, (code, told) in wrong.items():
            [reply] = asker.ask("infer/residual", b"\1" * 99, ContentType=content_type)
            assert _error(reply).code == code
            assert told in _error(reply).message


@versions
def test_an_unknown_model(serving: Any, asked: str, v5: bool) -> None:
    with serving.asker(asked, v5=v5) as asker:
        [reply] = asker.ask("infer/nothing/me", b"")
    assert (_error(reply).code, _error(reply).retryable) == ("UNKNOWN_MODEL", False)
    assert "there are: residual" in _error(reply).message


def test_mosquitto_rr_of_an_unknown_model(serving: Any, asked: str) -> None:
    said = mosquitto_rr(serving.url(asked), "mesh/1/request/infer/nothing", "client/rr", "{}")
    assert json.loads(said)["code"] == "UNKNOWN_MODEL"
    assert json.loads(said)["retryable"] is False


# Where it came and where the reply should go


@pytest.mark.parametrize(
    "target",
    ["infer/resi dual/me", "infer/residual/a/b/c", "infer/", "infer", "", "guess/residual"],
)
def test_a_request_topic_that_is_none(serving: Any, asked: str, target: str) -> None:
    with serving.asker(asked, v5=False) as asker:
        [reply] = asker.ask(target, b'{"id": "7"}')
    assert reply.topic == f"mesh/1/response/{target}"
    assert (_error(reply).code, _error(reply).id) == ("BAD_TOPIC", "7")


@pytest.mark.parametrize("kind", BAD_RESPONSE_TOPICS)
def test_a_response_topic_that_may_not_be(serving: Any, asked: str, kind: str) -> None:
    with serving.asker(asked) as asker:
        [reply] = asker.ask(
            "infer/residual/me",
            _json(SOUND, id="7"),
            ResponseTopic=BAD_RESPONSE_TOPICS[kind],
            CorrelationData=b"c",
        )
    assert (reply.topic, reply.correlation_data) == ("mesh/1/response/infer/residual/me", b"c")
    assert (_error(reply).code, _error(reply).id) == ("BAD_TOPIC", "7")


def test_a_control_request_that_is_none(serving: Any, asked: str) -> None:
    with serving.asker(asked) as asker:
        [reply] = asker.ask("control/explode", b"{}", ResponseTopic="client/me")
    assert (reply.topic, json.loads(reply.payload)["code"]) == ("client/me", "USAGE")
