import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from mesh.device.capability_cache import CapabilityCache
from mesh.errors import (
    BadPayloadError,
    InfeasibleError,
    MeshError,
    OverloadedError,
    StoreError,
    UnknownModelError,
    UsageError,
)
from mesh.fleet.lease import Lease
from mesh.ids import BootId, ModelId, NodeId
from mesh.node.control import Control
from mesh.node.jobs import Jobs
from mesh.node.library import Library
from mesh.node.loop import Loop
from mesh.node.reception import MAX_EXPLAINING, MAX_REQUEST_BYTES, Reception
from mesh.node.roster import Roster, RosterHooks
from mesh.node.thread_share import ThreadShare
from mesh.node.workshop import Surroundings, Workshop
from mesh.store.disk import ModelStore
from mesh.testing.models import tiny_dense
from mesh.testing.runtime import FakeRuntime
from mesh.wire import codec, control
from mesh.wire.control import (
    AddModelReply,
    AddModelRequest,
    ImageWish,
    PlanReply,
    PlanRequest,
    RemoveModelReply,
    RemoveModelRequest,
    StatusReply,
    StatusRequest,
    Verb,
)
from mesh.wire.documents import Advert, Heartbeat, NodeState, Plan, RefusedLayers
from mesh.wire.topics import Fact, FactTopic, RequestTopic, Service

RunUntil = Callable[[Loop, Callable[[], bool]], None]
ME = NodeId("0" * 16)
ADVERT = Advert(
    node_id=ME,
    boot_id=BootId("0" * 8),
    name="pi",
    mesh_name="home",
    version="0",
    board="",
    board_label="",
    runtime="fake",
    runtime_version="1",
    kernel_class="fake-1/none",
    broker_url="mqtt://pi:1883",
    broker_kind="memory",
    http_url="http://pi:80",
    host_id="",
    host_cores=1,
    threads=1,
    memory_bytes=1 << 30,
)


@dataclass(slots=True)
class _Control:
    """What the reception asks of the control flow."""

    lease: Lease = field(default_factory=Lease)
    adopted: dict[ModelId, Plan] = field(default_factory=dict)
    barred: dict[NodeId, str] = field(default_factory=dict)

    def is_routed(self, _model_id: ModelId) -> bool:
        return False

    def problem_of(self, _model_id: ModelId) -> str | None:
        return None

    def barred_from(self, _model_id: ModelId) -> dict[NodeId, str]:
        return self.barred


def _nothing(*_args: object) -> None:
    pass


class Bench:
    """A reception over a real library and roster of one node."""

    def __init__(self, folder: Path, run_until: RunUntil) -> None:
        self.control = _Control()
        self.run_until = run_until
        self.loop = Loop()
        self.folder = folder
        self.store = ModelStore(folder, max_model_bytes=1 << 20)
        scratch = folder / "slices"
        scratch.mkdir()
        workshop = Workshop(
            self.store,
            FakeRuntime(),
            CapabilityCache(folder / "capability"),
            me=ME,
            surroundings=Surroundings(
                device_profile="generic",
                power_mode="",
                threads=ThreadShare(configured=1, cores=4),
                max_boundary_bytes=1 << 20,
            ),
            scratch_dir=scratch,
        )
        self.library = Library(self.loop, self.store, workshop, me=ME, on_change=_nothing)
        self.explainer = Jobs("explain", self.loop.post)
        self.roster = Roster(
            self.loop,
            me=ME,
            mesh_name="home",
            silence_s=4.0,
            seeds=(),
            hooks=RosterHooks(
                open_peer=_nothing,
                close_peer=_nothing,
                catalogue=_nothing,
                own_word=lambda _topic, _payload: None,
                changed=_nothing,
            ),
        )
        self.roster.state = NodeState.READY
        self.learn(Fact.ADVERT, ADVERT)
        self.reception = Reception(
            cast("Control", self.control),
            self.roster,
            self.library,
            me=ME,
            mesh_name="home",
            heartbeat=lambda: Heartbeat(boot_id=BootId("0" * 8), sequence=1, state=NodeState.READY),
            explainer=self.explainer,
        )

    def learn(self, fact: Fact, document: object, model_id: ModelId | None = None) -> None:
        topic = FactTopic(node_id=ME, fact=fact, model_id=model_id)
        self.roster.learn_own(topic, codec.encode(document))

    def handle(self, target: str, payload: bytes) -> bytes:
        """Hand in a request and wait for its one reply."""
        replies: list[bytes] = []
        topic = RequestTopic(service=Service.CONTROL, target=target)
        self.reception.handle(topic, payload, replies.append)
        self.run_until(self.loop, lambda: bool(replies))
        (reply,) = replies
        return reply

    def ask(self, verb: Verb, request: object, kind: type[Any]) -> Any:
        return control.decode_reply(kind, self.handle(verb.value, codec.encode(request)))

    def upload(self) -> ModelId:
        path = self.folder / "upload"
        path.write_bytes(tiny_dense())
        return self.store.add_file(path)

    def add(self, **wish: Any) -> AddModelReply:
        request = AddModelRequest(model_id=self.upload(), name="tiny", **wish)
        added = self.ask(Verb.MODEL_ADD, request, AddModelReply)
        assert isinstance(added, AddModelReply)
        return added

    def measure(self, model_id: ModelId) -> None:
        """Let the node do what `keep` finds to be done, and say it."""

        def is_done() -> bool:
            self.library.keep(self.roster.view, frozenset())
            return model_id in self.library.capabilities

        self.run_until(self.loop, is_done)
        self.learn(Fact.HOLDINGS, self.library.holdings())
        self.learn(Fact.CAPABILITY, self.library.capabilities[model_id], model_id)


@pytest.fixture
def bench(tmp_path: Path, run_until: RunUntil) -> Iterator[Bench]:
    made = Bench(tmp_path, run_until)
    yield made
    made.library.close()
    made.explainer.close()


def test_the_status_is_of_the_whole_mesh(bench: Bench) -> None:
    told = bench.ask(Verb.STATUS, StatusRequest(), StatusReply)
    assert (told.mesh_name, told.asked) == ("home", ME)
    assert [(node.name, node.state) for node in told.nodes] == [("pi", "ready")]


def test_an_empty_request_is_one_without_wishes(bench: Bench) -> None:
    assert json.loads(bench.handle("status", b""))["status"] == "ok"


def test_a_model_is_added_and_described(bench: Bench) -> None:
    added = bench.add(labels=("a", "b"), image=ImageWish(mode="crop"), min_stages=2)
    assert (added.name, added.operators, added.cuts, added.uncuttable) == ("tiny", 3, 2, None)
    manifest = bench.library.find("tiny")
    assert (manifest.labels, manifest.min_stages) == (("a", "b"), 2)
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


def test_a_plan_is_explained(bench: Bench) -> None:
    bench.measure(bench.add().model_id)
    told = bench.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply)
    assert (told.operators, told.live_epoch) == (3, None)
    assert [(part.node_name, part.start, part.stop) for part in told.chosen.stages] == [
        ("pi", 0, 3)
    ]
    assert told.verdict


def test_layers_that_no_runtime_can_load_are_told_with_what_is_lacking(bench: Bench) -> None:
    bench.measure(bench.add().model_id)
    (model_id,) = bench.library.capabilities
    refused = RefusedLayers(start=1, stop=2, reason="tflite 2.14.0 lacks RANK version 2")
    measured = bench.library.capabilities[model_id]
    limited = replace(
        measured, layer_s=(measured.layer_s[0], None, *measured.layer_s[2:]), refused=(refused,)
    )
    bench.learn(Fact.CAPABILITY, limited, model_id=model_id)
    with pytest.raises(InfeasibleError, match=r"pi: tflite 2.14.0 lacks RANK version 2 \(layer 1"):
        bench.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply)


def test_without_a_node_that_could_the_reasons_are_told(bench: Bench) -> None:
    bench.add()
    with pytest.raises(InfeasibleError, match="pi: it is fetching"):
        bench.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply)


def test_a_node_that_failed_with_the_model_is_named_with_its_own_words(bench: Bench) -> None:
    model_id = bench.add().model_id
    bench.measure(model_id)
    bench.control.barred[ME] = "quarantined: its interpreter ended 4 times within 12 s"
    with pytest.raises(InfeasibleError, match="pi: quarantined: its interpreter ended 4 times"):
        bench.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply)


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


def test_plans_are_explained_beside_the_loop_and_not_without_end(bench: Bench) -> None:
    """With a dozen nodes one takes seconds, in which the loop must beat."""
    bench.measure(bench.add().model_id)
    replies: list[bytes] = []
    topic = RequestTopic(service=Service.CONTROL, target=Verb.PLAN.value)
    for _ in range(MAX_EXPLAINING + 1):
        bench.reception.handle(topic, codec.encode(PlanRequest(name="tiny")), replies.append)
    (refused,) = [json.loads(reply) for reply in replies]
    assert refused["code"] == OverloadedError.code
    bench.run_until(bench.loop, lambda: len(replies) == MAX_EXPLAINING + 1)
    assert bench.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply).name == "tiny"
