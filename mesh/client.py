"""The Python client: finds a node by itself, asks it over MQTT, hands back NumPy arrays.

with mesh.Client() as client:
    answer = client.infer("pose", {"input_1": pixels})
    print(answer.outputs["ld_3d"], answer.timing)
"""

import itertools
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from mesh.errors import (
    BadPayloadError,
    BrokerError,
    DeadlineExceededError,
    MeshError,
    NodeLostError,
    NoNodesError,
)
from mesh.fleet.mdns import discover
from mesh.model.tensor import DataType
from mesh.transport.paho_bus import PahoConnector
from mesh.transport.port import Bus, BusConnector, BusEvent, Connected, Disconnected, Message
from mesh.wire import codec, control, oip_reply
from mesh.wire.control import StatusReply, StatusRequest, Verb
from mesh.wire.infer import (
    CONTENT_OIP_BINARY,
    ErrorReply,
    InferResponse,
    PayloadLimits,
    Timing,
)
from mesh.wire.topics import RequestTopic, Service, TopicSpace

if TYPE_CHECKING:
    from typing_extensions import Self

DISCOVERY_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
REPLY_MARGIN_S = 2.0
"""How much longer than the node's own deadline the client waits for its word."""
DEFAULT_TIMEOUT_S = 30.0

_DATA_TYPES = {data_type.numpy_name.lstrip("<|"): data_type for data_type in DataType}

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Outputs by name, as arrays of the model's shapes, and where the time went."""

    outputs: Mapping[str, npt.NDArray[Any]]
    timing: Timing | None
    model_version: str


class Client:
    """One connection to one node; safe to use from several threads.

    Without a URL the first node that mDNS finds is used. Raises: NoNodesError, BrokerError.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        mesh_name: str = "default",
        base_topic: str = "mesh",
        interfaces: tuple[str, ...] = (),
        connector: BusConnector | None = None,
        max_payload_bytes: int = 64 << 20,
    ) -> None:
        self._topics = TopicSpace.of(base_topic)
        self._client_id = f"c{secrets.token_hex(8)}"
        self._numbers = itertools.count(1)
        self._limits = PayloadLimits(max_payload_bytes=max_payload_bytes)
        self._waiting: dict[str, Future[Message]] = {}
        self._lock = threading.Lock()
        self._up = threading.Event()
        self.urls = (url,) if url is not None else _found(mesh_name, interfaces)
        self._bus = self._connect(connector or PahoConnector())

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The broker of the node that is asked."""
        return self._bus.url

    def close(self) -> None:
        """Disconnect; what is still waited for fails."""
        self._bus.close()
        self._fail_all("the client was closed")

    def infer(
        self,
        model_name: str,
        inputs: Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike],
        *,
        outputs: Sequence[str] | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answer:
        """Ask once and wait. Raises: the error that the mesh replied, DeadlineExceededError."""
        started = self.infer_soon(model_name, inputs, outputs=outputs, timeout_s=timeout_s)
        return await_reply(started, timeout_s + REPLY_MARGIN_S)

    def infer_soon(
        self,
        model_name: str,
        inputs: Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike],
        *,
        outputs: Sequence[str] | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> "Future[Answer]":
        """Ask and return at once; any number may be under way.

        `inputs` by name, or in the model's order; arrays keep their dtype (no silent conversion).
        """
        if isinstance(inputs, Mapping):
            named = dict(inputs)
        else:
            specs = self._inputs_of(model_name)
            if len(specs) != len(inputs):
                raise BadPayloadError(
                    f"{model_name} takes {len(specs)} inputs ({', '.join(specs)}), not {len(inputs)}"
                )
            named = dict(zip(specs, inputs, strict=True))
        payload_of = _encoder(named, outputs, timeout_s)
        return self._ask(
            Service.INFER,
            model_name,
            payload_of,
            content_type=CONTENT_OIP_BINARY,
            convert=self._answer,
        )

    def send(
        self, model_name: str, payload: bytes, *, content_type: str | None = None
    ) -> "Future[InferResponse]":
        """Send a ready-made payload: JSON, a picture, a raw tensor."""
        return self._ask(
            Service.INFER,
            model_name,
            lambda _request_id: payload,
            content_type=content_type,
            convert=self._response,
        )

    def status(self, *, timeout_s: float = 5.0) -> StatusReply:
        """What the asked node knows of the mesh."""
        return self.ask(Verb.STATUS, StatusRequest(), StatusReply, timeout_s=timeout_s)

    def ask(self, verb: Verb, request: Any, reply: type[T], *, timeout_s: float) -> T:
        """Make a control request. Raises: the error that was replied."""
        plain = codec.to_plain(request)
        started = self._ask(
            Service.CONTROL,
            verb.value,
            lambda request_id: codec.encode({**plain, "id": request_id}),
            content_type="application/json",
            convert=lambda message: control.decode_reply(reply, message.payload),
        )
        answer: T = await_reply(started, timeout_s)
        return answer

    def _inputs_of(self, model_name: str) -> list[str]:
        for model in self.status().models:
            if model.name == model_name:
                return [spec.name for spec in model.inputs]
        return [""]

    def _ask(
        self,
        service: Service,
        target: str,
        payload_of: Callable[[str], bytes],
        *,
        content_type: str | None,
        convert: Callable[[Message], T],
    ) -> "Future[T]":
        number = str(next(self._numbers))
        topic = RequestTopic(service=service, target=target, reply_id=f"{self._client_id}/{number}")
        raw: Future[Message] = Future()
        wanted: Future[T] = Future()
        raw.add_done_callback(lambda done: _hand_on(done, wanted, convert))
        with self._lock:
            self._waiting[number] = raw
        message = Message(
            topic=self._topics.request(topic),
            payload=payload_of(f"{self._client_id}-{number}"),
            qos=1,
            content_type=content_type,
        )
        try:
            self._bus.publish(message)
        except MeshError:
            with self._lock:
                self._waiting.pop(number, None)
            raise
        return wanted

    def _connect(self, connector: BusConnector) -> Bus:
        for url in self.urls:
            bus = connector.connect(
                url, client_id=f"mesh-client-{self._client_id}", on_event=self._heard
            )
            bus.subscribe(self._topics.all_responses(self._client_id), qos=1)
            if self._up.wait(CONNECT_TIMEOUT_S):
                return bus
            bus.close()
        raise BrokerError(
            f"no broker answered at {', '.join(self.urls)}: is the node running and its port open?"
        )

    def _heard(self, event: BusEvent) -> None:
        if isinstance(event, Connected):
            self._up.set()
        elif isinstance(event, Disconnected):
            self._fail_all(f"the connection to the node broke: {event.reason}")
        else:
            self._take(event)

    def _take(self, message: Message) -> None:
        """A reply: its topic's last level is the request's number, whatever the MQTT version."""
        with self._lock:
            waiting = self._waiting.pop(message.topic.rpartition("/")[2], None)
        if waiting is not None:
            waiting.set_result(message)

    def _fail_all(self, reason: str) -> None:
        with self._lock:
            waiting, self._waiting = list(self._waiting.values()), {}
        for future in waiting:
            future.set_exception(NodeLostError(reason))

    def _response(self, message: Message) -> InferResponse:
        reply = oip_reply.parse_response(message.payload, self._limits)
        if isinstance(reply, ErrorReply):
            raise oip_reply.as_error(reply)
        return reply

    def _answer(self, message: Message) -> Answer:
        response = self._response(message)
        return Answer(
            outputs={
                output.name: np.frombuffer(output.data, output.data_type.numpy_name).reshape(
                    output.shape
                )
                for output in response.outputs
            },
            timing=response.timing,
            model_version=response.model_version,
        )


def _found(mesh_name: str, interfaces: tuple[str, ...]) -> tuple[str, ...]:
    nodes = discover(mesh_name, timeout_s=DISCOVERY_TIMEOUT_S, interfaces=interfaces)
    if not nodes:
        raise NoNodesError(
            f"no node of the mesh {mesh_name!r} answered over mDNS within {DISCOVERY_TIMEOUT_S:.0f} s: "
            "start one with `mesh node`, or name one with --url mqtt://HOST:PORT"
        )
    return tuple(node.broker_url for node in nodes)


def await_reply(future: "Future[T]", timeout_s: float) -> T:
    """The future's result. Raises: the error that was replied, DeadlineExceededError."""
    try:
        return future.result(timeout_s)
    except FutureTimeoutError:
        raise DeadlineExceededError(
            f"the node did not answer within {timeout_s:.3g} s: is it overloaded? see `mesh status`"
        ) from None


def _hand_on(done: "Future[Message]", wanted: "Future[T]", convert: Callable[[Message], T]) -> None:
    error = done.exception()
    if error is None:
        try:
            wanted.set_result(convert(done.result()))
        except MeshError as refused:
            wanted.set_exception(refused)
    else:
        wanted.set_exception(error)


def _encoder(
    inputs: Mapping[str, npt.ArrayLike], outputs: Sequence[str] | None, timeout_s: float
) -> Callable[[str], bytes]:
    """Open Inference Protocol with raw tensors behind the JSON."""
    entries, tensors = [], []
    for name, value in inputs.items():
        array = np.ascontiguousarray(value)
        data_type = _DATA_TYPES.get(array.dtype.newbyteorder("=").str.lstrip("<>|="))
        if data_type is None:
            raise BadPayloadError(f"input {name!r} has dtype {array.dtype}, which no model takes")
        data = array.astype(data_type.numpy_name, copy=False).tobytes()
        entries.append(
            {
                "name": name,
                "datatype": data_type.value,
                "shape": list(np.shape(value)),
                "parameters": {"binary_data_size": len(data)},
            }
        )
        tensors.append(data)
    root: dict[str, Any] = {
        "inputs": entries,
        "parameters": {"binary_data_output": True, "timeout_ms": round(timeout_s * 1000)},
    }
    if outputs is not None:
        root["outputs"] = [{"name": name} for name in outputs]
    return lambda request_id: b"".join([codec.encode({"id": request_id, **root}), *tensors])
