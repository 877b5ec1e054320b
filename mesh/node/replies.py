"""What is said to clients: one reply per call; one that cannot be sent as it is becomes an error reply."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mesh.errors import MeshError, NotConnectedError, OverloadedError
from mesh.node.loop import Loop
from mesh.transport.port import Message
from mesh.wire import oip_reply
from mesh.wire.infer import CONTENT_JSON, ErrorReply
from mesh.wire.refusal import Refusal, refusal_of

_log = logging.getLogger("mesh.desk")

MAX_UNSENT = 1024
"""Replies kept while the node's own broker is away or takes no more."""
RESAY_S = 0.1
RETRY_AFTER_S = 0.5
"""The hint given with errors that may pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request message: where its reply goes."""

    reply_topic: str
    correlation_data: bytes | None
    model_name: str


class Replies:
    """On the loop's thread. `publish` may raise what `Bus.publish` raises."""

    def __init__(self, loop: Loop, publish: Callable[[Message], None]) -> None:
        self._loop = loop
        self._publish = publish
        self._unsent: deque[Message] = deque(maxlen=MAX_UNSENT)

    def say(
        self,
        call: Call,
        content: bytes,
        *,
        content_type: str = CONTENT_JSON,
        request_id: str | None = None,
    ) -> None:
        """Send the reply, or keep it where that must wait."""
        try:
            self._send(_message(call, content, content_type))
        except MeshError as error:
            self.refuse(call, refusal_of(error), request_id)

    def refuse(self, call: Call, refusal: Refusal, request_id: str | None = None) -> None:
        """Reply with an error."""
        reply = ErrorReply(
            id=request_id,
            model_name=call.model_name,
            message=refusal.message,
            code=refusal.code,
            retryable=refusal.retryable,
            retry_after_s=RETRY_AFTER_S if refusal.retryable else None,
        )
        self._send_or_drop(_message(call, oip_reply.encode_error(reply), CONTENT_JSON))

    def say_unsent(self) -> None:
        """Say what had to wait; what still cannot be said waits on."""
        waiting = list(self._unsent)
        self._unsent.clear()
        for message in waiting:
            self._send_or_drop(message)

    def _send_or_drop(self, message: Message) -> None:
        try:
            self._send(message)
        except MeshError as error:
            _log.warning("a reply on %.100s could not be sent: %s", message.topic, error)

    def _send(self, message: Message) -> None:
        """Raises: MeshError when waiting would not help."""
        try:
            self._publish(message)
        except (NotConnectedError, OverloadedError):
            if not self._unsent:
                self._loop.after(RESAY_S, self.say_unsent)
            self._unsent.append(message)


def _message(call: Call, content: bytes, content_type: str) -> Message:
    return Message(
        topic=call.reply_topic,
        payload=content,
        qos=1,
        correlation_data=call.correlation_data,
        content_type=content_type,
    )
