import json
from typing import Any

import pytest

from mesh.errors import MeshError, RemoteError, UnknownModelError, UsageError
from mesh.ids import ModelId, NodeId
from mesh.planning.wishes import Wishes
from mesh.wire import codec
from mesh.wire.control import (
    MAX_CONTROL_BYTES,
    AddModelRequest,
    ImageWish,
    RemoveModelReply,
    RemoveModelRequest,
    StatusReply,
    StatusRequest,
    Verb,
    decode_reply,
    encode_refusal,
    encode_reply,
    reply_id_of,
)
from mesh.wire.planned import PlanRequest

MODEL = ModelId("0" * 64)
BODY = RemoveModelReply(name="tiny")


@pytest.mark.parametrize(
    "request_",
    [
        StatusRequest(id="7"),
        PlanRequest(name="tiny", wishes=Wishes(min_stages=2), without=("a",), helps=True),
        RemoveModelRequest(name="tiny"),
        AddModelRequest(
            model_id=MODEL,
            name="tiny",
            image=ImageWish(mode="crop"),
            labels=("a", "b"),
            replace=True,
        ),
    ],
)
def test_a_request_survives(request_: Any) -> None:
    payload = codec.encode(request_)
    assert codec.decode(type(request_), payload, max_bytes=MAX_CONTROL_BYTES) == request_


def test_a_request_may_say_as_little_as_it_wants() -> None:
    assert codec.from_plain(StatusRequest, {}) == StatusRequest()
    least = codec.from_plain(AddModelRequest, {"model_id": MODEL, "name": "tiny"})
    assert least == AddModelRequest(model_id=MODEL, name="tiny")


def test_an_answer_survives() -> None:
    payload = encode_reply("7", BODY)
    assert json.loads(payload) == {"id": "7", "status": "ok", "body": {"name": "tiny"}}
    assert decode_reply(RemoveModelReply, payload) == BODY
    assert reply_id_of(payload) == "7"


def test_a_whole_status_survives() -> None:
    told = StatusReply(
        schema_version=1,
        mesh_name="home",
        asked=NodeId("0" * 16),
        nodes=(),
        models=(),
        notes=("all is well",),
    )
    assert decode_reply(StatusReply, encode_reply(None, told)) == told


def test_a_refusal_is_raised_as_the_error_that_it_was() -> None:
    payload = encode_refusal("7", UnknownModelError("there is no model 'tin'"))
    with pytest.raises(UnknownModelError, match="no model 'tin'"):
        decode_reply(RemoveModelReply, payload)
    assert reply_id_of(payload) == "7"
    assert "retry_after_ms" not in json.loads(payload)


def test_a_refusal_without_an_id_names_none() -> None:
    assert reply_id_of(encode_refusal(None, UsageError("no"))) is None


def test_a_refusal_of_a_newer_node_is_still_an_error() -> None:
    payload = b'{"status": "error", "code": "SOMETHING_NEW", "error": "why"}'
    with pytest.raises(MeshError, match="why"):
        decode_reply(RemoveModelReply, payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"status": "ok"}',
        b'{"status": "ok", "body": {"name": 3}}',
        b" " * (MAX_CONTROL_BYTES + 1),
    ],
)
def test_what_is_no_reply_is_a_remote_error(payload: bytes) -> None:
    with pytest.raises(RemoteError):
        decode_reply(RemoveModelReply, payload)


@pytest.mark.parametrize("payload", [b"", b"[]", b"\xff", b'{"id": 7}', b"{}"])
def test_an_id_that_is_none_is_none(payload: bytes) -> None:
    assert reply_id_of(payload) is None


def test_verbs_fit_into_a_topic() -> None:
    assert all(verb.value.replace("-", "").isalpha() for verb in Verb)
