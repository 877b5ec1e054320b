import json
from typing import Any

import pytest

from mesh.errors import (
    BadPayloadError,
    MeshError,
    StoreError,
    UnknownModelError,
    UsageError,
)
from mesh.ids import ModelId
from mesh.node.reception import MAX_REQUEST_BYTES
from mesh.planning.wishes import Wishes
from mesh.wire.control import (
    AddModelReply,
    AddModelRequest,
    ImageWish,
    RemoveModelReply,
    RemoveModelRequest,
    StatusReply,
    StatusRequest,
    Verb,
)
from mesh.wire.documents import Heartbeat
from tests.node.front_desk import ME, Bench


def test_the_status_is_of_the_whole_mesh(bench: Bench) -> None:
    told = bench.ask(Verb.STATUS, StatusRequest(), StatusReply)
    assert (told.mesh_name, told.asked) == ("home", ME)
    assert [(node.name, node.state) for node in told.nodes] == [("pi", "ready")]


def test_an_empty_request_is_one_without_wishes(bench: Bench) -> None:
    assert json.loads(bench.handle("status", b""))["status"] == "ok"


def test_a_model_is_added_and_described(bench: Bench) -> None:
    added = bench.add(labels=("a", "b"), image=ImageWish(mode="crop"), wishes=Wishes(min_stages=2))
    assert (added.name, added.operators, added.cuts, added.uncuttable) == ("tiny", 3, 2, None)
    manifest = bench.library.find("tiny")
    assert (manifest.labels, manifest.wishes.min_stages) == (("a", "b"), 2)
    assert manifest.image is not None
    assert manifest.image.mode.value == "crop"


def test_a_model_that_was_not_uploaded_is_refused(bench: Bench) -> None:
    request = AddModelRequest(model_id=ModelId("0" * 64), name="tiny")
    with pytest.raises(StoreError, match="not uploaded"):
        bench.ask(Verb.MODEL_ADD, request, AddModelReply)


@pytest.mark.parametrize("wish", [{"mode": "zoom"}, {"channels": "CMYK"}, {"scale": 0.0}])
def test_picture_options_that_there_are_not_are_refused(bench: Bench, wish: Any) -> None:
    with pytest.raises(BadPayloadError, match="image options"):
        bench.add(image=ImageWish(**wish))


def test_a_model_is_removed(bench: Bench) -> None:
    bench.add()
    request = RemoveModelRequest(name="tiny")
    assert bench.ask(Verb.MODEL_REMOVE, request, RemoveModelReply).name == "tiny"
    with pytest.raises(UnknownModelError):
        bench.ask(Verb.MODEL_REMOVE, request, RemoveModelReply)


@pytest.mark.parametrize(
    ("target", "payload", "code"),
    [
        ("nothing", b'{"id": "7"}', UsageError.code),
        ("plan", b'{"id": "7"}', BadPayloadError.code),
        ("plan", b'{"id": "7", "name": "tiny"}', UnknownModelError.code),
        ("status", b'{"id": "7", "x": ' + b" " * MAX_REQUEST_BYTES + b"1}", BadPayloadError.code),
        ("status", b"[1]", BadPayloadError.code),
        ("status", b"\xff", BadPayloadError.code),
    ],
)
def test_what_cannot_be_answered_is_refused(
    bench: Bench, target: str, payload: bytes, code: str
) -> None:
    reply = json.loads(bench.handle(target, payload))
    assert (reply["status"], reply["code"]) == ("error", code)
    if payload.endswith(b'"7"}'):
        assert reply["id"] == "7"


def test_a_fault_is_an_answer_too(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> Heartbeat:
        raise ZeroDivisionError

    bench.reception._heartbeat = fails
    reply = json.loads(bench.handle("status", b'{"id": "7"}'))
    assert (reply["id"], reply["code"]) == ("7", MeshError.code)
    assert "a control request failed" in caplog.text
