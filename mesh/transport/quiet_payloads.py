"""A plugin for amqtt that saves CPU; decides nothing about any message.

amqtt formats each message, payload and all, into a debug line that nobody reads: 12 ms per MB.
Its plugin interface shows each packet as it comes in, so the payload is swapped here for the same
bytes with a short `repr()`. It must be that event: amqtt does not wait for plugins, and by
`on_broker_message_received` the message is already on its way to that line.
"""

from typing import Any

from amqtt.mqtt.publish import PublishPacket
from amqtt.plugins.base import BasePlugin


class QuietBytes(bytes):
    """Bytes that do not write themselves out."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


class QuietPayloads(BasePlugin[Any]):  # type: ignore[misc]
    """The event's name and arguments are amqtt's."""

    async def on_mqtt_packet_received(self, *, packet: Any, session: Any = None) -> None:
        del session
        if isinstance(packet, PublishPacket) and packet.data:
            packet.data = QuietBytes(packet.data)
