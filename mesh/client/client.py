"""What a program asks of a mesh: inferences, and the control requests of `mesh`, from any thread."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy.typing as npt

from mesh.client.arrays import Answer, as_answer, encode_end, encode_request
from mesh.client.candidates import Candidates
from mesh.client.connection import Connection, Question
from mesh.client.session import Session
from mesh.config import MAX_TIMEOUT_S
from mesh.errors import (
    BadPayloadError,
    DeadlineExceededError,
    NoNodesError,
    UnknownModelError,
    UsageError,
)
from mesh.fleet.discovery import Discovery, gather
from mesh.fleet.mdns import MdnsDiscovery
from mesh.store.manifest import check_model_name
from mesh.transport.paho_bus import PahoConnector
from mesh.transport.port import BusConnector, Message
from mesh.wire import codec, control, oip_reply
from mesh.wire.control import StatusReply, StatusRequest, Verb
from mesh.wire.infer import (
    CONTENT_JSON,
    CONTENT_OIP_BINARY,
    ErrorReply,
    InferResponse,
    PayloadLimits,
    SessionUse,
)
from mesh.wire.session import as_properties
from mesh.wire.topics import Service, TopicSpace

if TYPE_CHECKING:
    from typing_extensions import Self

DISCOVERY_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 5.0
REPLY_MARGIN_S = 2.0
"""How much longer than the node's own deadline the client waits for its word."""
DEFAULT_TIMEOUT_S = 30.0

T = TypeVar("T")


class Client:
    """Talks to one node at a time, which answers for the whole mesh; safe to use from many threads.

    When the node is lost, what was asked fails with a `NodeLostError`, and the next request goes to
    another node: of those that mDNS found at the start, or of the URLs given.
    """

    def __init__(
        self,
        url: str | Sequence[str] | None = None,
        *,
        mesh_name: str = "default",
        base_topic: str = "mesh",
        interfaces: tuple[str, ...] = (),
        max_payload_bytes: int = 64 << 20,
        discovery_timeout_s: float = DISCOVERY_TIMEOUT_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        connector: BusConnector | None = None,
        discovery: Discovery | None = None,
    ) -> None:
        """Connect to the first node that answers; without a URL, to one that mDNS finds.

        `url` is a node's broker, as "mqtt://192.168.1.20:1883", or several that are tried in turn.
        `interfaces` are IP addresses of this machine to search on; all when empty.
        `max_payload_bytes` bounds a reply. `connect_timeout_s` holds for each URL. `connector` and
        `discovery` stand in for MQTT and mDNS, as in tests; `discovery` is closed after the search.

        Raises: NoNodesError, BrokerError, UsageError for a URL that is none.
        """
        self._topics = TopicSpace.of(base_topic)
        self._limits = PayloadLimits(max_payload_bytes=max_payload_bytes)
        self._connector = connector or PahoConnector()
        if url is None:
            search = discovery or MdnsDiscovery(interfaces=interfaces)
            urls = _found(search, mesh_name, discovery_timeout_s)
        else:
            urls = (url,) if isinstance(url, str) else tuple(url)
        if not urls:
            raise UsageError("name at least one URL, or none at all to search over mDNS")
        self._candidates = Candidates(urls, self._connect, timeout_s=connect_timeout_s)
        self._candidates.connection()

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
        """The broker of the node that is asked now."""
        return self._candidates.url

    @property
    def urls(self) -> tuple[str, ...]:
        """The brokers of all nodes that may be asked."""
        return self._candidates.urls

    def close(self) -> None:
        """Disconnect; what is still waited for fails. Harmless when called again."""
        self._candidates.close()

    def infer(
        self,
        model_name: str,
        inputs: Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike],
        *,
        outputs: Sequence[str] | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        session: SessionUse | None = None,
    ) -> Answer:
        """Ask once and wait; see `infer_soon`.

        Raises: the error that the mesh replied, DeadlineExceededError, NodeLostError, BrokerError.
        Those whose `retryable` is true may succeed when asked again.
        """
        started = self.infer_soon(
            model_name, inputs, outputs=outputs, timeout_s=timeout_s, session=session
        )
        return await_reply(started, timeout_s + REPLY_MARGIN_S)

    def infer_soon(
        self,
        model_name: str,
        inputs: Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike],
        *,
        outputs: Sequence[str] | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        session: SessionUse | None = None,
    ) -> "Future[Answer]":
        """Ask and return at once; any number may be under way.

        `inputs` by name, or in the model's order (which costs a question for that order). Arrays
        keep their dtype: a list of Python floats is float64, and refused where a model takes
        float32. `outputs` names those wanted; None means all. The node gives up after `timeout_s`.
        `session` names the session that the request belongs to; `session()` keeps that itself.

        It blocks only to connect to another node where the one that was asked is lost. Callbacks of
        the future run on the connection's thread: they must hand on what comes, not ask or wait.

        Raises: BadPayloadError, UnknownModelError, BrokerError, NotConnectedError, OverloadedError,
        TooLargeError; all else is in the future.
        """
        _check_timeout(timeout_s)
        named = inputs if isinstance(inputs, Mapping) else self._named(model_name, inputs)
        question = Question(
            service=Service.INFER,
            target=check_model_name(model_name, error=UnknownModelError),
            payload_of=encode_request(named, outputs, timeout_s, session),
            read=lambda message: as_answer(self._response(message)),
            content_type=CONTENT_OIP_BINARY,
        )
        return self._candidates.connection().ask(question)

    def session(self, model_name: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> Session:
        """A session of a model that keeps state: `with client.session("name") as session: …`.

        It stays with the node that is asked at its first request; `timeout_s` is that of each step.
        """
        _check_timeout(timeout_s)
        return Session(self, model_name, timeout_s=timeout_s)

    def end_session(
        self, model_name: str, session_name: str, *, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        """End a session without another step. Raises: as `infer`."""
        question = Question(
            service=Service.INFER,
            target=check_model_name(model_name, error=UnknownModelError),
            payload_of=encode_end(session_name),
            read=self._response,
            content_type=CONTENT_JSON,
        )
        await_reply(self._candidates.connection().ask(question), timeout_s)

    def send(
        self,
        model_name: str,
        payload: bytes,
        *,
        content_type: str | None = None,
        session: SessionUse | None = None,
    ) -> "Future[InferResponse]":
        """Send a ready-made payload: JSON, a picture, a raw tensor. Otherwise as `infer_soon`.

        `session` travels beside the payload, over MQTT 5 alone. Raises: also UsageError.
        """
        question = Question(
            service=Service.INFER,
            target=check_model_name(model_name, error=UnknownModelError),
            payload_of=lambda _request_id: payload,
            read=self._response,
            content_type=content_type,
            user_properties=() if session is None else as_properties(session),
        )
        return self._candidates.connection().ask(question)

    def status(self, *, timeout_s: float = 5.0) -> StatusReply:
        """What the asked node knows of the mesh. Raises: as `ask`."""
        return self.ask(Verb.STATUS, StatusRequest(), StatusReply, timeout_s=timeout_s)

    def ask(self, verb: Verb, request: Any, reply: type[T], *, timeout_s: float) -> T:
        """Make a control request and wait.

        Raises: the error that was replied, DeadlineExceededError, NodeLostError, BrokerError.
        """
        _check_timeout(timeout_s)
        plain = codec.to_plain(request)
        question = Question(
            service=Service.CONTROL,
            target=verb.value,
            payload_of=lambda request_id: codec.encode({**plain, "id": request_id}),
            read=lambda message: control.decode_reply(reply, message.payload),
            content_type="application/json",
        )
        return await_reply(self._candidates.connection().ask(question), timeout_s)

    def _connect(self, url: str) -> Connection:
        return Connection(url, connector=self._connector, topics=self._topics)

    def _response(self, message: Message) -> InferResponse:
        reply = oip_reply.parse_response(message.payload, self._limits)
        if isinstance(reply, ErrorReply):
            raise oip_reply.as_error(reply)
        return reply

    def _named(
        self, model_name: str, inputs: Sequence[npt.ArrayLike]
    ) -> Mapping[str, npt.ArrayLike]:
        names = self._inputs_of(model_name)
        if len(names) != len(inputs):
            raise BadPayloadError(
                f"{model_name} takes {len(names)} inputs ({', '.join(names)}), not {len(inputs)}"
            )
        return dict(zip(names, inputs, strict=True))

    def _inputs_of(self, model_name: str) -> list[str]:
        models = {model.name: model for model in self.status().models}
        if model_name not in models:
            there = ", ".join(models) or "none yet"
            raise UnknownModelError(f"there is no model {model_name!r}; there are: {there}")
        return [spec.name for spec in models[model_name].inputs]


def await_reply(future: "Future[T]", timeout_s: float) -> T:
    """The future's result. Raises: the error that was replied, DeadlineExceededError."""
    try:
        return future.result(timeout_s)
    except FutureTimeoutError:
        future.cancel()  # its reply, should it come, is dropped
        raise DeadlineExceededError(
            f"the node did not answer within {timeout_s:.3g} s: is it overloaded? see `mesh status`"
        ) from None


def _found(discovery: Discovery, mesh_name: str, timeout_s: float) -> tuple[str, ...]:
    try:
        nodes = gather(discovery, mesh_name=mesh_name, timeout_s=timeout_s)
    finally:
        discovery.close()
    if not nodes:
        raise NoNodesError(
            f"no node of the mesh {mesh_name!r} answered over mDNS within {timeout_s:.3g} s: "
            "start one with `mesh node`, or name one with --url mqtt://HOST:PORT"
        )
    return tuple(node.broker_url for node in nodes)


def _check_timeout(timeout_s: float) -> None:
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise UsageError(
            f"timeout_s must be above 0 and at most {MAX_TIMEOUT_S:.0f}, not {timeout_s}"
        )
