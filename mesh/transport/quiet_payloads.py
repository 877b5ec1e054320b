"""A plugin for amqtt that saves most of its CPU; decides nothing about any message.

amqtt formats each message, payload and all, into a debug line that nobody reads: 69 % of its CPU.
Its plugin interface may replace a message before that, so the payload is swapped here for the same
bytes with a short `repr()`.
"""

from typing import Any

from amqtt.plugins.base import BasePlugin


class QuietBytes(bytes):
    """Bytes that do not write themselves out."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


class QuietPayloads(BasePlugin[Any]):  # type: ignore[misc]
    """An amqtt plugin; the event's name is amqtt's."""

    async def on_broker_message_received(self, *, client_id: str, message: Any) -> None:
        del client_id
        if message is not None and message.data:
            message.data = QuietBytes(message.data)
