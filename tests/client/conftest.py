"""A node that answers a client over the memory network, by a function, or holds its answers back."""

from collections.abc import Callable
from typing import Any

import pytest

from mesh.errors import MeshError
from mesh.ids import ModelId, NodeId
from mesh.model.tensor import DataType, TensorSpec
from mesh.testing.bus import MemoryNetwork
from mesh.transport.port import BusEvent, Message
from mesh.wire import control, oip_json, oip_reply
from mesh.wire.control import ModelStatus, StatusReply
from mesh.wire.infer import ErrorReply, InferResponse, OutputTensor

A, B, C = (f"mqtt://{host}:1883" for host in "abc")


def echo(header: Any, tail: memoryview) -> InferResponse:
    """Every input as the output of its name."""
    outputs = []
    for item in header["inputs"]:
        size_bytes = item["parameters"]["binary_data_size"]
        data, tail = bytes(tail[:size_bytes]), tail[size_bytes:]
        data_type, shape = DataType(item["datatype"]), tuple(item["shape"])
        outputs.append(OutputTensor(name=item["name"], data_type=data_type, shape=shape, data=data))
    assert not tail
    return InferResponse(id=header["id"], model_name="m", model_version="1", outputs=tuple(outputs))


def model_status(name: str, *inputs: str) -> ModelStatus:
    specs = (
        TensorSpec(index=i, name=one, data_type=DataType.FP32, shape=(1, 2))
        for i, one in enumerate(inputs)
    )
    return ModelStatus(
        name=name,
        model_id=ModelId("0" * 64),
        size_bytes=0,
        inputs=tuple(specs),
        outputs=(),
        state="serving",
        epoch=None,
        stages=(),
        bottleneck=None,
        bottleneck_s=None,
        latency_s=None,
        single_node_s=None,
        verdict=None,
        problem=None,
        held_by=1,
        requests_per_s=0.0,
        p50_s=None,
        p95_s=None,
        answered=0,
        failed=0,
        in_flight=0,
        queued=0,
    )


class FakeNode:
    """One node on the broker at `url`."""

    def __init__(self, network: MemoryNetwork, url: str) -> None:
        self.url = url
        self.broker = network.broker(url)
        self.requests: list[Message] = []
        self.held: list[Message] = []
        self.holds = False
        self.refuses_with: MeshError | None = None
        self.models: tuple[ModelStatus, ...] = (model_status("m", "x", "y"),)
        self.reply_of: Callable[[Message], bytes] = self._reply_of
        self._bus = network.connect(url, client_id="node", on_event=self._heard)
        self._bus.subscribe("mesh/1/request/#", qos=1)

    def release(self) -> None:
        """Answer what was held."""
        held, self.held = self.held, []
        for message in held:
            self._answer(message)

    def _heard(self, event: BusEvent) -> None:
        if isinstance(event, Message):
            self.requests.append(event)
            if self.holds:
                self.held.append(event)
            else:
                self._answer(event)

    def _answer(self, message: Message) -> None:
        topic = message.topic.replace("/request/", "/response/")
        self._bus.publish(Message(topic=topic, payload=self.reply_of(message), qos=1))

    def _reply_of(self, message: Message) -> bytes:
        if self.refuses_with is not None:
            return control.encode_refusal(None, self.refuses_with)
        if "/control/" in message.topic:
            status = StatusReply(
                schema_version=1,
                mesh_name="default",
                asked=NodeId("a" * 16),
                nodes=(),
                models=self.models,
                notes=(self.url,),
            )
            return control.encode_reply(None, status)
        header, end = oip_json.read_leading_object(message.payload, max_bytes=1 << 16)
        response = echo(header, memoryview(message.payload)[end:])
        return oip_reply.encode_response(response, binary=True)


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork()


@pytest.fixture
def node(network: MemoryNetwork) -> FakeNode:
    return FakeNode(network, A)


@pytest.fixture
def nodes(network: MemoryNetwork) -> list[FakeNode]:
    return [FakeNode(network, url) for url in (A, B, C)]


@pytest.fixture
def refusal() -> Callable[[str], bytes]:
    """An error reply with this code."""
    return lambda code: oip_reply.encode_error(
        ErrorReply(id=None, model_name="m", message="it says why", code=code, retryable=True)
    )
