"""A mesh that answers from values, a terminal that is a string, and a clock that only pauses move."""

import io
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from mesh.cli import main
from mesh.cli.session import Progress, Session, Whereabouts
from mesh.cli.terminal import Terminal
from mesh.client import Answer
from mesh.errors import MeshError
from mesh.ids import ModelId, NodeId
from mesh.model.tensor import DataType, LayerRange, TensorSpec
from mesh.wire.control import (
    AddModelReply,
    DrainReply,
    ModelStatus,
    NodeStatus,
    RemoveModelReply,
    ReplicaLine,
    StageLine,
    StatusReply,
    Verb,
)
from mesh.wire.documents import Activity, StageState
from mesh.wire.infer import InferResponse, OutputTensor, SessionUse, StageTiming, Timing
from mesh.wire.planned import (
    LeftOut,
    LivePlan,
    NoOption,
    PlanHelp,
    PlannedNode,
    PlannedPart,
    PlanOption,
    PlanReply,
)

ALPHA, BETA, GAMMA = (NodeId(digit * 16) for digit in "abc")
MODEL_ID = ModelId("90cbd402" * 8)
MIB = 1 << 20


def _node(node_id: NodeId, name: str, **changes: Any) -> NodeStatus:
    node = NodeStatus(
        node_id=node_id,
        name=name,
        board="Raspberry Pi 4 Model B",
        state="ready",
        is_coordinator=False,
        load_1min=0.42,
        temperature_c=51.6,
        throttled=False,
        memory_available_bytes=3_200 * MIB,
        broker_url=f"mqtt://{name}.local:1883",
        broker_kind="mosquitto 2.0.11",
        http_url=f"http://{name}.local:8080",
        runtime="litert 2.3.0",
        threads=4,
        version="0.1.0",
        stages_resident_bytes=31 * MIB,
        activities=(),
        warnings=(),
    )
    return replace(node, **changes)


def _stage(node_id: NodeId, name: str, start: int, stop: int, **changes: Any) -> StageLine:
    replica = ReplicaLine(
        node_id=node_id,
        node_name=name,
        share=1.0,
        compute_s=0.0123,
        transfer_s=0.0004,
        resident_bytes=31 * MIB,
        state=StageState.READY,
    )
    return StageLine(start=start, stop=stop, replicas=(replace(replica, **changes),))


@pytest.fixture
def model_status() -> ModelStatus:
    image = TensorSpec(index=0, name="image", data_type=DataType.FP32, shape=(1, 8, 8, 3))
    scores = TensorSpec(index=9, name="scores", data_type=DataType.FP32, shape=(1, 4))
    return ModelStatus(
        name="pose",
        model_id=MODEL_ID,
        size_bytes=6_400_000,
        inputs=(image,),
        outputs=(scores,),
        state="serving",
        epoch=3,
        stages=(
            _stage(ALPHA, "pi5-kitchen", 0, 42),
            _stage(BETA, "pi4-hall", 42, 139, compute_s=0.0062, transfer_s=0.00121),
        ),
        bottleneck=f"compute on {ALPHA}",
        bottleneck_s=0.0123,
        latency_s=0.0251,
        single_node_s=0.0233,
        verdict="a 2-stage pipeline gives 81.3 requests/s",
        problem=None,
        held_by=3,
        requests_per_s=79.4,
        p50_s=0.0251,
        p95_s=0.031,
        answered=4812,
        failed=0,
        in_flight=4,
        queued=0,
    )


@pytest.fixture
def status(model_status: ModelStatus) -> StatusReply:
    return StatusReply(
        schema_version=1,
        mesh_name="lab",
        asked=ALPHA,
        nodes=(
            _node(ALPHA, "pi5-kitchen", is_coordinator=True, board="Raspberry Pi 5"),
            _node(
                BETA,
                "pi4-hall",
                temperature_c=82.4,
                throttled=True,
                broker_kind="amqtt 0.11 (embedded)",
                activities=(
                    Activity(kind="measuring", model_name="pose", done=7, total=12),
                    Activity(kind="fetching", model_name="lens", done=3 * MIB, total=6 * MIB),
                ),
            ),
            _node(GAMMA, "zero", state="lost", load_1min=None, temperature_c=None),
        ),
        models=(model_status,),
        notes=("pi4-hall is throttled: cool it or give it a better power supply",),
    )


def _part(node_id: NodeId, name: str, start: int, stop: int, compute_s: float) -> PlannedPart:
    node = PlannedNode(
        node_id=node_id,
        node_name=name,
        share=1.0,
        compute_s=compute_s,
        receive_s=0.0004,
        send_s=0.0004,
        pace_s=compute_s,
        memory_bytes=1_600 * MIB,
        room_bytes=3_200 * MIB,
    )
    return PlannedPart(start=start, stop=stop, period_s=compute_s, replicas=(node,))


@pytest.fixture
def plan() -> PlanReply:
    """Two stages; requests come in at neither of their nodes."""
    pipeline = PlanOption(
        title="live",
        stages=(
            _part(ALPHA, "pi5-kitchen", 0, 42, 0.0123),
            _part(BETA, "pi4-hall", 42, 139, 0.0062),
        ),
        exit_s=0.0004,
        bottleneck_s=0.0123,
        latency_s=0.0197,
        bottleneck="compute on pi5-kitchen",
        bottleneck_kind="compute",
        bottleneck_nodes=(ALPHA,),
        optimal=True,
        gap=0.0,
    )
    alone = PlanOption(
        title="best single node",
        stages=(_part(ALPHA, "pi5-kitchen", 0, 139, 0.0233),),
        exit_s=0.0004,
        bottleneck_s=0.0233,
        latency_s=0.0241,
        bottleneck="compute on pi5-kitchen",
        bottleneck_kind="compute",
        bottleneck_nodes=(ALPHA,),
        optimal=True,
        gap=0.0,
    )
    return PlanReply(
        name="pose",
        model_id=MODEL_ID,
        operators=139,
        gateway=NodeId("e" * 16),
        gateway_name="pi3-attic",
        objective="throughput",
        latency_bound_s=None,
        verdict="a 2-stage pipeline gives 81.3 requests/s, 1.9× the best single node",
        chosen=pipeline,
        alternatives=(alone, replace(pipeline, title="best pipeline")),
        missing=(NoOption(title="best replicas", reason="pi4-hall lacks 80 MiB"),),
        left_out=(LeftOut(node_id=GAMMA, node_name="zero", reason="zero has not enough memory"),),
        helps=(PlanHelp(sentence="a faster pi5", requests_per_s=130.1, latency_s=0.0162),),
        live=LivePlan(epoch=3, requests_per_s=79.4, latency_s=0.0251),
    )


@pytest.fixture
def answer() -> Answer:
    return Answer(
        outputs={"scores": np.array([[0.1, 0.6, 0.25, 0.05]], np.float32)},
        timing=Timing(
            total_s=0.0262,
            transfer_s=0.0072,
            stages=(
                StageTiming(
                    node=ALPHA,
                    name="pi5-kitchen",
                    layers=LayerRange(start=0, stop=42),
                    queue_s=0.0005,
                    compute_s=0.0123,
                ),
                StageTiming(
                    node=BETA,
                    name="pi4-hall",
                    layers=LayerRange(start=42, stop=139),
                    queue_s=0.0,
                    compute_s=0.0062,
                ),
            ),
        ),
        model_version="90cbd402aaaa",
    )


@dataclass(slots=True, kw_only=True)
class FakeMesh:
    """One node's answers: `statuses` one after the other, the last for ever; an error is raised."""

    statuses: deque[StatusReply | MeshError]
    plan: PlanReply | MeshError
    answers: Callable[[int], Answer | MeshError]
    url: str = "mqtt://192.168.1.20:1883"
    asked: list[tuple[Verb, Any]] = field(default_factory=list)
    inferred: list[tuple[str, Any, Any]] = field(default_factory=list)
    sessions: list[SessionUse | None] = field(default_factory=list)
    drained: deque[DrainReply | MeshError] = field(default_factory=deque)
    is_closed: bool = False

    def ask(self, verb: Verb, request: Any, reply: Any, *, timeout_s: float) -> Any:
        self.asked.append((verb, request))
        answer = self._answer(verb, request)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, reply)
        return answer

    def _answer(self, verb: Verb, request: Any) -> Any:
        if verb is Verb.STATUS:
            return self.statuses.popleft() if len(self.statuses) > 1 else self.statuses[0]
        if verb is Verb.PLAN:
            return self.plan
        if verb is Verb.DRAIN:
            return self.drained.popleft() if len(self.drained) > 1 else self.drained[0]
        if verb is Verb.MODEL_REMOVE:
            return RemoveModelReply(name=request.name)
        return AddModelReply(
            name=request.name,
            model_id=request.model_id,
            inputs=(),
            outputs=(),
            operators=3,
            cuts=2,
            uncuttable=None,
        )

    def infer_soon(
        self,
        model_name: str,
        inputs: Mapping[str, npt.ArrayLike],
        *,
        outputs: Sequence[str] | None = None,
        timeout_s: float = 30.0,
        session: SessionUse | None = None,
    ) -> "Future[Answer]":
        self.sessions.append(session)
        return self._infer((model_name, inputs, outputs))

    def send(
        self,
        model_name: str,
        payload: bytes,
        *,
        content_type: str | None = None,
        session: SessionUse | None = None,
    ) -> "Future[InferResponse]":
        self.sessions.append(session)
        answered = self._infer((model_name, payload, content_type))
        sent: Future[InferResponse] = Future()
        if (error := answered.exception()) is not None:
            sent.set_exception(error)
        else:
            sent.set_result(_as_response(answered.result()))
        return sent

    def _infer(self, request: tuple[str, Any, Any]) -> "Future[Answer]":
        self.inferred.append(request)
        outcome = self.answers(len(self.inferred))
        future: Future[Answer] = Future()
        if isinstance(outcome, MeshError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
        return future

    def close(self) -> None:
        self.is_closed = True


def _as_response(answer: Answer) -> InferResponse:
    outputs = tuple(
        OutputTensor(
            name=name,
            data_type=DataType.FP32,
            shape=array.shape,
            data=array.tobytes(),
            classes=answer.classes.get(name, ()),
        )
        for name, array in answer.outputs.items()
    )
    return InferResponse(
        id=None,
        model_name="pose",
        model_version=answer.model_version,
        outputs=outputs,
        timing=answer.timing,
    )


class Screen(io.StringIO):
    """A stream that can pose as a terminal."""

    def __init__(self, *, is_tty: bool = False) -> None:
        super().__init__()
        self._is_tty = is_tty

    def isatty(self) -> bool:
        return self._is_tty


@dataclass(slots=True, kw_only=True)
class Cli:
    """Runs commands against the fake mesh; `out` and `err` hold what the last one said."""

    mesh: FakeMesh
    connect: Callable[[Whereabouts], FakeMesh]
    environment: dict[str, str] = field(default_factory=dict)
    is_tty: bool = False
    out: str = ""
    err: str = ""
    whereabouts: list[Whereabouts] = field(default_factory=list)
    uploads: list[tuple[str, Path]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    pauses_until_interrupt: int = 1000

    def run(self, *arguments: str) -> int:
        """The exit status."""
        out, err = Screen(is_tty=self.is_tty), Screen(is_tty=self.is_tty)
        status = main.run(arguments, self.session(out, err))
        self.out, self.err = out.getvalue(), err.getvalue()
        return status

    def session(self, out: Screen, err: Screen) -> Session:
        return Session(
            terminal=Terminal(out, err, self.environment),
            environment=self.environment,
            connect=self._connect,
            upload=self._upload,
            now_s=lambda: sum(self.pauses),
            pause=self._pause,
        )

    def _connect(self, where: Whereabouts) -> FakeMesh:
        self.whereabouts.append(where)
        return self.connect(where)

    def _upload(self, url: str, path: Path, on_progress: Progress) -> ModelId:
        size_bytes = path.stat().st_size
        self.uploads.append((url, path))
        on_progress(size_bytes, size_bytes)
        return MODEL_ID

    def _pause(self, pause_s: float) -> None:
        self.pauses.append(pause_s)
        if len(self.pauses) >= self.pauses_until_interrupt:
            raise KeyboardInterrupt


@pytest.fixture
def cli(status: StatusReply, plan: PlanReply, answer: Answer) -> Cli:
    mesh = FakeMesh(statuses=deque([status]), plan=plan, answers=lambda _count: answer)
    return Cli(mesh=mesh, connect=lambda _where: mesh)
