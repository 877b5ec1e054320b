import json
from collections.abc import Callable
from dataclasses import dataclass, field

from mesh.errors import (
    BadTopicError,
    MeshError,
    NoPlanError,
    NotConnectedError,
    TooLargeError,
    WrongShapeError,
)
from mesh.node.loop import Loop
from mesh.node.replies import MAX_UNSENT, Call, Replies
from mesh.transport.port import Message
from mesh.wire.refusal import refusal_of

RunUntil = Callable[[Loop, Callable[[], bool]], None]
CALL = Call(reply_topic="reply/here", correlation_data=b"\x01", model_name="tiny")


@dataclass(slots=True)
class Bench:
    """Replies to a broker that can be away, or take only small messages."""

    failure: MeshError | None = None
    most_bytes: int = 1 << 20
    loop: Loop = field(default_factory=Loop)
    said: list[Message] = field(default_factory=list)
    replies: Replies = field(init=False)

    def __post_init__(self) -> None:
        self.replies = Replies(self.loop, self.publish)

    def publish(self, message: Message) -> None:
        if self.failure is not None:
            raise self.failure
        if len(message.payload) > self.most_bytes:
            raise TooLargeError("too large for the broker")
        self.said.append(message)

    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.said]


def test_a_reply_goes_where_the_request_asked() -> None:
    bench = Bench()
    bench.replies.say(CALL, b"content", content_type="application/x-oip")
    assert bench.said == [
        Message(
            topic="reply/here",
            payload=b"content",
            qos=1,
            correlation_data=b"\x01",
            content_type="application/x-oip",
        )
    ]


def test_a_refusal_is_json_with_a_hint_only_when_trying_again_may_help() -> None:
    bench = Bench()
    bench.replies.refuse(CALL, refusal_of(NoPlanError("no plan yet")), "7")
    bench.replies.refuse(CALL, refusal_of(WrongShapeError("wrong shape")))
    first, second = (json.loads(payload) for payload in bench.payloads())
    assert (first["id"], first["code"], first["retryable"]) == ("7", "NO_PLAN", True)
    assert first["retry_after_ms"] > 0
    assert (second["code"], second["retryable"]) == ("WRONG_SHAPE", False)
    assert second.keys().isdisjoint({"id", "retry_after_ms"})


def test_a_reply_that_is_too_large_becomes_an_error_reply() -> None:
    bench = Bench(most_bytes=300)
    bench.replies.say(CALL, bytes(301), request_id="7")
    (payload,) = bench.payloads()
    assert (json.loads(payload)["id"], json.loads(payload)["code"]) == ("7", "TOO_LARGE")


def test_what_can_never_be_sent_is_let_go() -> None:
    bench = Bench(failure=BadTopicError("no topic"))
    bench.replies.say(CALL, b"content")
    bench.failure = None
    bench.replies.say_unsent()
    assert bench.said == []


def test_replies_wait_for_the_broker_and_keep_their_order() -> None:
    bench = Bench(failure=NotConnectedError("away"))
    for i in range(3):
        bench.replies.say(CALL, b"%d" % i)
    bench.failure = None
    bench.replies.say_unsent()
    assert bench.payloads() == [b"0", b"1", b"2"]


def test_they_are_tried_again_by_themselves(run_until: RunUntil) -> None:
    bench = Bench(failure=NotConnectedError("away"))
    bench.replies.say(CALL, b"content")
    bench.failure = None
    run_until(bench.loop, lambda: bool(bench.said))
    assert bench.payloads() == [b"content"]


def test_what_waits_is_bounded() -> None:
    bench = Bench(failure=NotConnectedError("away"))
    for i in range(MAX_UNSENT + 5):
        bench.replies.say(CALL, b"%d" % i)
    bench.failure = None
    bench.replies.say_unsent()
    assert len(bench.said) == MAX_UNSENT
