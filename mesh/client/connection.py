"""One connection to one node, and the replies waited for on it; which node it is, is decided elsewhere.

Replies come on `response/<service>/<target>/<client>/<number>`: the topic's last level finds the
request, whatever the MQTT version.
"""

import itertools
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition
from typing import Any, Generic, TypeVar

from mesh.errors import MeshError, NodeLostError
from mesh.transport.port import BusConnector, BusEvent, Connected, Disconnected, Message
from mesh.wire.topics import RequestTopic, Service, TopicSpace

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Generic[T]):
    """A request: its payload is made once its id is known, its reply is read by `read`."""

    service: Service
    target: str
    payload_of: Callable[[str], bytes]
    read: Callable[[Message], T]
    content_type: str | None = None
    user_properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Awaited:
    future: "Future[Any]"
    read: Callable[[Message], Any]

    def answer(self, message: Message) -> None:
        if not self.future.set_running_or_notify_cancel():
            return  # nobody waits for it any more
        try:
            result = self.read(message)
        except MeshError as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)

    def fail(self, error: MeshError) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)


class Connection:
    """Starts to connect at once and goes on trying until it is closed."""

    def __init__(self, url: str, *, connector: BusConnector, topics: TopicSpace) -> None:
        self._topics = topics
        self._id = f"c{secrets.token_hex(8)}"
        self._numbers = itertools.count(1)
        self._changed = Condition()  # guards the next three
        self._is_up = False
        self._trouble = ""
        self._awaited: dict[str, _Awaited] = {}
        self._bus = connector.connect(
            url, client_id=f"mesh-client-{self._id}", on_event=self._heard
        )
        self._bus.subscribe(topics.all_responses(self._id), qos=1)

    @property
    def url(self) -> str:
        return self._bus.url

    @property
    def is_up(self) -> bool:
        return self._is_up

    @property
    def trouble(self) -> str:
        """Why there is no connection."""
        return self._trouble or "no answer"

    @property
    def waiting(self) -> int:
        """How many replies are waited for."""
        return len(self._awaited)

    def await_up(self, timeout_s: float, *, patient: bool) -> bool:
        """Wait until it is up, and tell whether it is; unless `patient`, a first refusal is enough."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_up or (bool(self._trouble) and not patient), timeout_s
            )
            return self._is_up

    def ask(self, question: Question[T]) -> "Future[T]":
        """Send a request. Raises: NotConnectedError and what else `Bus.publish` raises."""
        number = str(next(self._numbers))
        topic = RequestTopic(
            service=question.service, target=question.target, reply_id=f"{self._id}/{number}"
        )
        message = Message(
            topic=self._topics.request(topic),
            payload=question.payload_of(f"{self._id}-{number}"),
            qos=1,
            content_type=question.content_type,
            user_properties=question.user_properties,
        )
        future: Future[T] = Future()
        with self._changed:
            self._awaited[number] = _Awaited(future=future, read=question.read)
        future.add_done_callback(lambda _done: self._forget(number))
        try:
            self._bus.publish(message)
        except MeshError:
            self._forget(number)
            raise
        return future

    def close(self, reason: str) -> None:
        """Disconnect; what is still waited for fails."""
        self._bus.close()
        self._lose(reason)

    def _heard(self, event: BusEvent) -> None:
        if isinstance(event, Connected):
            with self._changed:
                self._is_up, self._trouble = True, ""
                self._changed.notify_all()
        elif isinstance(event, Disconnected):
            self._lose(event.reason)
        else:
            awaited = self._forget(event.topic.rpartition("/")[2])
            if awaited is not None:
                awaited.answer(event)

    def _lose(self, reason: str) -> None:
        with self._changed:
            self._is_up, self._trouble = False, reason
            lost, self._awaited = list(self._awaited.values()), {}
            self._changed.notify_all()
        for one in lost:  # outside the lock: its callbacks may ask again
            one.fail(NodeLostError(f"the connection to {self.url} broke ({reason}): ask again"))

    def _forget(self, number: str) -> _Awaited | None:
        with self._changed:
            return self._awaited.pop(number, None)
