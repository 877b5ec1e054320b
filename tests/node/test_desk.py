import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from mesh.config import Config
from mesh.errors import TooLargeError, UnknownModelError
from mesh.fleet.routes import whole_route
from mesh.ids import Epoch, ModelId, NodeId, PlanId
from mesh.model.tensor import DataType, TensorSpec
from mesh.node.desk import Desk
from mesh.node.dispatcher import Dispatcher, make_dispatcher
from mesh.node.loop import Loop
from mesh.store.manifest import ModelManifest
from mesh.testing.documents import sample_stage
from mesh.transport.port import Message
from mesh.wire import oip, oip_reply
from mesh.wire.documents import Plan, PlanPhase
from mesh.wire.frame import Frame, FrameKind, FrameTensor, StageTime
from mesh.wire.infer import InferResponse, PayloadLimits
from mesh.wire.topics import Lane, RequestTopic, Service, TopicSpace

RunUntil = Callable[[Loop, Callable[[], bool]], None]
ME, A = NodeId("0" * 16), NodeId("a" * 16)
MODEL = ModelId("0123456789abcdef" * 4)
SPACE = TopicSpace.of("mesh")
INPUT = TensorSpec(index=0, name="pixels", data_type=DataType.UINT8, shape=(1, 2, 2, 1))
SCORES = TensorSpec(index=7, name="scores", data_type=DataType.FP32, shape=(1, 2))
BOX = TensorSpec(index=8, name="box", data_type=DataType.UINT8, shape=(1,))
MANIFEST = ModelManifest(
    model_id=MODEL,
    name="tiny",
    size_bytes=100,
    inputs=(INPUT,),
    outputs=(SCORES, BOX),
    revision=1,
    writer=ME,
)
PLAN = Plan(
    plan_id=PlanId("0" * 16),
    epoch=Epoch(1),
    model_id=MODEL,
    phase=PlanPhase.LIVE,
    stages=(sample_stage(A, start=0, stop=5, compute_s=0.01, transfer_s=0.0),),
    bottleneck_s=0.01,
    bottleneck="",
    latency_s=0.01,
    single_node=None,
    single_node_s=None,
    verdict="",
)
REQUEST = {
    "id": "7",
    "inputs": [
        {"name": "pixels", "datatype": "UINT8", "shape": [1, 2, 2, 1], "data": [1, 2, 3, 4]}
    ],
}
RAW = bytes([1, 2, 3, 4])


@dataclass(slots=True)
class Bench:
    """A desk over a gateway whose only stage answers at once, unless told not to."""

    run_until: RunUntil
    answers: bool = True
    has_plan: bool = True
    max_parsing: int = 4
    labels: tuple[str, ...] = ()
    loop: Loop = field(default_factory=Loop)
    said: list[Message] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    desk: Desk = field(init=False)
    dispatcher: Dispatcher = field(init=False)

    def __post_init__(self) -> None:
        config = Config(max_queue=8)
        self.dispatcher = make_dispatcher(config, self.loop, me=ME, send=self.send)
        if self.has_plan:
            self.dispatcher.set_route(MODEL, whole_route(PLAN))
        self.desk = Desk(
            self.loop,
            SPACE,
            self.dispatcher,
            find_model=self.find,
            no_plan_reason=lambda _model_id, name: f"{name} has no plan yet",
            node_name=lambda _node_id: "pi-a",
            control=lambda topic, payload, reply: reply(topic.target.encode() + payload),
            publish=self.said.append,
            limits=PayloadLimits(max_payload_bytes=1 << 20),
            timeout_s=5.0,
            max_parsing=self.max_parsing,
        )

    def find(self, name: str) -> ModelManifest:
        if name != "tiny":
            raise UnknownModelError(f"there is no model {name!r}")
        return replace(MANIFEST, labels=self.labels)

    def send(self, node_id: NodeId, lane: Lane, frame: Frame) -> None:
        assert lane is Lane.STAGE
        self.frames.append(frame)
        if self.answers:
            self.loop.post(lambda: self.dispatcher.result(result(frame)))

    def request(self, message: Message) -> None:
        topic = SPACE.parse(message.topic)
        self.desk.request(topic if isinstance(topic, RequestTopic) else None, message)

    def ask(self, message: Message) -> Message:
        """Hand in a request and wait for its one reply."""
        before = len(self.said)
        self.request(message)
        self.run_until(self.loop, lambda: len(self.said) > before)
        return self.said[-1]

    def ask_json(self, message: Message) -> dict[str, Any]:
        content = json.loads(self.ask(message).payload)
        assert isinstance(content, dict)
        return content


def result(frame: Frame) -> Frame:
    tensors = (
        FrameTensor(index=BOX.index, data=b"\x05"),
        FrameTensor(index=SCORES.index, data=struct.pack("<2f", 0.25, 0.75)),
    )
    timings = (StageTime(stage=0, queue_s=0.0, compute_s=0.001),)
    return replace(frame, kind=FrameKind.RESULT, tensors=tensors, timings=timings, step=None)


def message(payload: bytes | dict[str, Any], topic: str = "infer/tiny", **more: Any) -> Message:
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Message(topic=f"mesh/1/request/{topic}", payload=content, qos=1, **more)


@pytest.fixture
def make(run_until: RunUntil) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def one(**settings: Any) -> Bench:
        made.append(Bench(run_until, **settings))
        return made[-1]

    yield one
    for bench in made:
        bench.desk.close()


def test_an_answer_says_what_came_out_and_where_the_time_went(make: Callable[..., Bench]) -> None:
    bench = make()
    reply = bench.ask(message(REQUEST))
    assert (reply.topic, reply.qos, reply.retain) == ("mesh/1/response/infer/tiny", 1, False)
    assert reply.content_type == "application/json"
    content = json.loads(reply.payload)
    assert (content["id"], content["status"], content["model_version"]) == (
        "7",
        "ok",
        MODEL[:12],
    )
    assert [(o["name"], o["data"]) for o in content["outputs"]] == [
        ("scores", [0.25, 0.75]),
        ("box", [5]),
    ]
    (stage,) = content["timing"]["stages"]
    assert (stage["node"], stage["name"], stage["layers"]) == (A, "pi-a", [0, 5])
    assert bytes(bench.frames[0].tensors[0].data) == RAW


def test_only_the_outputs_asked_for_are_sent_in_the_form_asked_for(
    make: Callable[..., Bench],
) -> None:
    wish = {"outputs": [{"name": "box"}], "parameters": {"binary_data_output": True}}
    reply = make().ask(message(REQUEST | wish))
    assert reply.content_type == "application/x-oip"
    response = oip_reply.parse_response(reply.payload, PayloadLimits())
    assert isinstance(response, InferResponse)
    assert [(one.name, one.data) for one in response.outputs] == [("box", b"\x05")]


def test_a_model_with_labels_says_the_likeliest_classes(make: Callable[..., Bench]) -> None:
    bench = make(labels=("cat", "dog"))
    expected = {
        "scores": [
            {"index": 1, "label": "dog", "value": 0.75},
            {"index": 0, "label": "cat", "value": 0.25},
        ]
    }
    assert bench.ask_json(message(REQUEST))["classes"] == expected
    wish = {"parameters": {"binary_data_output": True}}
    header, _ = json.JSONDecoder().raw_decode(
        bench.ask(message(REQUEST | wish)).payload.decode("latin-1")
    )
    assert header["classes"] == expected
    assert "classes" not in bench.ask_json(message(REQUEST | {"outputs": [{"name": "box"}]}))


@pytest.mark.parametrize("labels", [(), ("cat", "dog", "emu")])
def test_without_labels_that_fit_there_are_no_classes(
    make: Callable[..., Bench], labels: tuple[str, ...]
) -> None:
    assert "classes" not in make(labels=labels).ask_json(message(REQUEST))


@pytest.mark.parametrize("topic", ["infer/tiny/me", "infer/tiny/me/1"])
def test_a_reply_id_is_mirrored(make: Callable[..., Bench], topic: str) -> None:
    assert make().ask(message(RAW, topic)).topic == f"mesh/1/response/{topic}"


def test_a_response_topic_wins_and_correlation_data_comes_back(make: Callable[..., Bench]) -> None:
    reply = make().ask(message(RAW, response_topic="my/own", correlation_data=b"\x00\x01"))
    assert (reply.topic, reply.correlation_data) == ("my/own", b"\x00\x01")


def test_a_bad_response_topic_is_refused_where_the_reply_would_have_been(
    make: Callable[..., Bench],
) -> None:
    bad = "mesh/1/request/infer/tiny"
    reply = make().ask(message(REQUEST, "infer/tiny/me", response_topic=bad))
    assert reply.topic == "mesh/1/response/infer/tiny/me"
    content = json.loads(reply.payload)
    assert (content["code"], content["id"]) == ("BAD_TOPIC", "7")


@pytest.mark.parametrize("topic", ["infer", "infer/tiny/a/b/c", "other/tiny", "infer/ti ny"])
def test_a_request_on_another_topic_is_refused(make: Callable[..., Bench], topic: str) -> None:
    reply = make().ask(message(REQUEST, topic))
    assert reply.topic == f"mesh/1/response/{topic}"
    assert json.loads(reply.payload)["code"] == "BAD_TOPIC"


@pytest.mark.parametrize(
    ("payload", "topic", "code"),
    [
        (b"", "infer/tiny", "EMPTY_PAYLOAD"),
        (b"123", "infer/tiny", "BAD_PAYLOAD"),
        (b"\x89PNG\r\n\x1a\n", "infer/tiny", "BAD_PAYLOAD"),
        (b"{}", "infer/unknown", "UNKNOWN_MODEL"),
        (bytes(2 << 20), "infer/tiny", "TOO_LARGE"),
    ],
)
def test_what_cannot_be_served_is_refused(
    make: Callable[..., Bench], payload: bytes, topic: str, code: str
) -> None:
    content = make().ask_json(message(payload, topic))
    assert (content["status"], content["code"], content["retryable"]) == ("error", code, False)
    assert content["model_name"] == topic.removeprefix("infer/")


def test_without_a_plan_the_reason_is_told_with_a_hint(make: Callable[..., Bench]) -> None:
    content = make(has_plan=False).ask_json(message(REQUEST))
    assert (content["code"], content["error"], content["id"]) == (
        "NO_PLAN",
        "tiny has no plan yet",
        "7",
    )
    assert content["retry_after_ms"] > 0


def test_what_is_read_at_once_is_bounded(make: Callable[..., Bench]) -> None:
    bench = make(max_parsing=2, answers=False)
    for _ in range(3):
        bench.request(message(REQUEST))
    (reply,) = bench.said
    assert json.loads(reply.payload)["code"] == "OVERLOADED"
    bench.run_until(bench.loop, lambda: len(bench.frames) == 2)


@pytest.mark.parametrize(
    ("wish_ms", "expiry_s"), [(30, None), (None, 0.03), (30, 20.0), (20_000, 0.03)]
)
def test_the_shorter_of_two_deadlines_counts(
    make: Callable[..., Bench], wish_ms: int | None, expiry_s: float | None
) -> None:
    parameters = {"parameters": {"timeout_ms": wish_ms}} if wish_ms is not None else {}
    content = make(answers=False).ask_json(message(REQUEST | parameters, expiry_s=expiry_s))
    assert content["code"] == "DEADLINE_EXCEEDED"


def test_a_kept_request_is_not_answered_again(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.request(message(REQUEST, retain=True))
    bench.ask(message(RAW))
    assert len(bench.said) == 1


def test_what_is_no_request_gets_no_reply(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.desk.request(None, Message(topic="mesh/1/response/infer/tiny", payload=b"{}"))
    bench.desk.request(None, Message(topic="another/topic", payload=b"{}"))
    assert bench.said == []


def test_control_requests_are_handed_on(make: Callable[..., Bench]) -> None:
    reply = make().ask(message(b"{}", "control/status/me"))
    assert (reply.topic, reply.payload) == ("mesh/1/response/control/status/me", b"status{}")


def test_each_of_many_requests_gets_its_own_reply(make: Callable[..., Bench]) -> None:
    bench = make(max_parsing=100)
    for i in range(8):
        bench.request(message(REQUEST | {"id": str(i)}))
    bench.run_until(bench.loop, lambda: len(bench.said) == 8)
    ids = [json.loads(reply.payload)["id"] for reply in bench.said]
    assert sorted(ids) == [str(i) for i in range(8)]


def test_a_message_that_is_good_for_years_is_not_waited_for_that_long(
    make: Callable[..., Bench],
) -> None:
    """A frame that left more time than the protocol allows would be dropped on its way."""
    topic = SPACE.request(RequestTopic(service=Service.INFER, target="tiny"))
    bench = make()
    bench.ask(Message(topic=topic, payload=RAW, expiry_s=float(2**32 - 1)))
    assert bench.frames[-1].time_left_s <= oip.MAX_TIMEOUT_S


def test_the_steps_of_a_session_and_its_end(make: Callable[..., Bench]) -> None:
    bench = make()
    steps = [
        bench.ask_json(message(REQUEST | {"session": "s", "session_start": True})),
        bench.ask_json(message(REQUEST | {"session": "s"})),
    ]
    assert [one["status"] for one in steps] == ["ok", "ok"]
    assert [one.kind for one in bench.frames] == [FrameKind.STEP] * 2
    end = bench.ask_json(message({"id": "8", "session": "s", "session_end": True}))
    assert (end["id"], end["status"], end["outputs"]) == ("8", "ok", [])
    after = bench.ask_json(message(REQUEST | {"session": "s"}))
    assert (after["id"], after["code"]) == ("7", "UNKNOWN_SESSION")
    assert after["retryable"] is False


def too_large(*_args: object, **_kwargs: object) -> bytes:
    raise TooLargeError("the answer is too large")


def test_a_step_whose_answer_cannot_be_sent_must_not_be_asked_again(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make()
    monkeypatch.setattr(oip_reply, "encode_response", too_large)
    told = bench.ask_json(message(REQUEST | {"session": "s", "session_start": True}))
    assert (told["code"], told["retryable"]) == ("SESSION_LOST", False)
    assert "a step was computed, but not answered: the answer is too large" in told["error"]
    monkeypatch.undo()
    after = bench.ask_json(message(REQUEST | {"session": "s"}))
    assert after["code"] == "SESSION_LOST"
    assert "Begin a new one with session_start" in after["error"]
    again = bench.ask_json(message(REQUEST | {"session": "s", "session_start": True}))
    assert again["status"] == "ok"


def test_an_answer_that_cannot_be_sent_is_no_answer(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oip_reply, "encode_response", too_large)
    assert make().ask_json(message(REQUEST))["code"] == "TOO_LARGE"


def test_what_is_no_json_says_its_session_beside_the_payload(make: Callable[..., Bench]) -> None:
    bench = make()
    begin = (("session", "s"), ("session_start", "true"))
    assert bench.ask_json(message(RAW, user_properties=begin))["status"] == "ok"
    assert bench.ask_json(message(RAW, user_properties=(("session", "s"),)))["status"] == "ok"
    assert [one.step.number for one in bench.frames if one.step is not None] == [0, 1]
    bad = (("session", "s"), ("session_end", "perhaps"))
    assert bench.ask_json(message(RAW, user_properties=bad))["code"] == "BAD_PAYLOAD"
