"""A session of the client against nodes that answer over the memory network."""

import json
from typing import Any

import numpy as np
import pytest

from mesh.client import Client
from mesh.client.arrays import Answer
from mesh.client.session import Session
from mesh.errors import NoPlanError, SessionLostError, UnknownSessionError, WrongShapeError
from mesh.testing.bus import MemoryNetwork
from mesh.wire import oip_json, oip_reply
from mesh.wire.infer import InferResponse, SessionUse

ONES = {"x": np.ones((1, 2), np.float32)}
MEMBERS = ("session_start", "session_end")


@pytest.fixture
def client(network: MemoryNetwork, node: Any) -> Client:
    return Client(node.url, connector=network)


def marks(node: Any) -> list[list[str]]:
    """What each request said of its session beside the name, which must be the same in all."""
    headers = [
        oip_json.read_leading_object(one.payload, max_bytes=4096)[0] for one in node.requests
    ]
    assert len({header["session"] for header in headers}) == 1
    return [[name for name in MEMBERS if header.get(name)] for header in headers]


def test_it_begins_with_its_first_request_and_ends_with_the_block(
    client: Client, node: Any
) -> None:
    reply = node.reply_of
    node.reply_of = lambda message: (
        _ended() if b'"inputs"' not in message.payload else reply(message)
    )
    with client.session("m") as session:
        assert session.infer(ONES).outputs["x"].tolist() == [[1.0, 1.0]]
        session.infer(ONES)
    assert marks(node) == [["session_start"], [], ["session_end"]]
    assert "inputs" not in json.loads(node.requests[-1].payload)


def _ended() -> bytes:
    response = InferResponse(id="", model_name="m", model_version="1", outputs=())
    return oip_reply.encode_response(response, binary=False)


def test_a_request_may_be_the_last(client: Client, node: Any) -> None:
    with client.session("m") as session:
        session.infer(ONES)
        session.infer(ONES, last=True)
        with pytest.raises(SessionLostError, match="has ended"):
            session.infer(ONES)
    assert marks(node) == [["session_start"], ["session_end"]]


def test_one_that_never_began_ends_without_a_word(client: Client, node: Any) -> None:
    with client.session("m"):
        pass
    assert node.requests == []


def test_each_has_a_name_of_its_own(client: Client) -> None:
    assert client.session("m").name != client.session("m").name


@pytest.mark.parametrize(
    ("code", "error"),
    [("SESSION_LOST", SessionLostError), ("UNKNOWN_SESSION", UnknownSessionError)],
)
def test_a_lost_one_is_not_gone_on_with(
    client: Client, node: Any, refusal: Any, code: str, error: type[Exception]
) -> None:
    with client.session("m") as session:
        session.infer(ONES)
        node.reply_of = lambda _message: refusal(code)
        with pytest.raises(error):
            session.infer(ONES)
        with pytest.raises(SessionLostError, match="begin a new one"):
            session.infer(ONES)
    assert len(node.requests) == 2


def test_a_request_that_was_not_taken_may_be_tried_again(
    client: Client, node: Any, refusal: Any
) -> None:
    reply = node.reply_of
    session = client.session("m")
    node.reply_of = lambda _message: refusal("NO_PLAN")
    with pytest.raises(NoPlanError):
        session.infer(ONES)
    node.reply_of = reply
    session.infer(ONES)
    node.reply_of = lambda _message: refusal("WRONG_SHAPE")
    with pytest.raises(WrongShapeError):
        session.infer(ONES)
    node.reply_of = reply
    session.infer(ONES)
    assert marks(node) == [["session_start"], ["session_start"], [], []]


def test_a_step_whose_answer_never_came_loses_it(client: Client, node: Any) -> None:
    session = client.session("m")
    session.infer(ONES)
    node.holds = True
    client_closed = client.infer_soon("m", ONES)
    node.broker.stop()
    assert client_closed.exception() is not None
    with pytest.raises(SessionLostError, match="may be lost"):
        session.infer(ONES)
    with pytest.raises(SessionLostError, match="is lost"):
        session.infer(ONES)


def test_an_answer_that_cannot_be_read_loses_it(client: Client, node: Any) -> None:
    """The step was taken: asked again, it would be another one."""
    session = client.session("m")
    session.infer(ONES)
    node.reply_of = lambda _message: b"no JSON"
    with pytest.raises(SessionLostError, match="may be lost"):
        session.infer(ONES)


def test_a_step_that_was_interrupted_loses_it() -> None:
    steps = Interrupted()
    session = Session(steps, "m", timeout_s=1.0)
    session.infer(ONES)
    steps.by = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        session.infer(ONES)
    with pytest.raises(SessionLostError, match="is lost"):
        session.infer(ONES)


class Interrupted:
    """Answers, until somebody presses Ctrl-C."""

    by: BaseException | None = None

    def infer(self, *_args: Any, **_kwargs: Any) -> Answer:
        if self.by is not None:
            raise self.by
        return Answer(outputs={}, timing=None, model_version="1")

    def end_session(self, *_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("a lost session is not ended")


def test_a_ready_made_payload_has_its_session_beside_it(client: Client, node: Any) -> None:
    node.holds = True
    client.send("m", b"\xff\xd8\xff", session=SessionUse(name="s", starts=True))
    (request,) = node.requests
    assert request.user_properties == (("session", "s"), ("session_start", "true"))
