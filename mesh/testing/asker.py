"""Asks a node over plain MQTT and takes everything that is said in reply, wherever it is said.

After the reply to a request, a second request goes the whole way to the model and back on the same
connection: what the first one caused besides its reply was heard before. So nobody has to sleep to
know that there was exactly one reply.
"""

import itertools
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mesh.testing.mqtt_client import Heard, MqttClient
from mesh.wire.topics import RequestTopic, Service, TopicSpace

if TYPE_CHECKING:
    from typing_extensions import Self

REPLY_TIMEOUT_S = 10.0
OWN_REPLIES = "client"
"""Below this topic an asker hears too: for response topics that are not the mesh's."""


class Asker:
    """One connection to one node. `sound_payload` is a request that `model_name` answers."""

    def __init__(
        self,
        url: str,
        model_name: str,
        sound_payload: bytes,
        *,
        v5: bool = True,
        base_topic: str = "mesh",
    ) -> None:
        self._topics = TopicSpace.of(base_topic)
        self._model_name = model_name
        self._sound_payload = sound_payload
        self._numbers = itertools.count(1)
        replies = f"{self._topics.base}/response/#"
        self.client = MqttClient(url, replies, f"{OWN_REPLIES}/#", v5=v5)

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()

    def ask(self, target: str, payload: bytes, **properties: Any) -> list[Heard]:
        """Send to `request/<target>` and return all replies, of which there should be one.

        Raises: DeadlineExceededError when there is none.
        """
        self.client.publish(f"{self._topics.base}/request/{target}", payload, **properties)
        return self.take(1)

    def take(self, count: int) -> list[Heard]:
        """Wait for so many replies and return all that were said, also those too many."""
        taken = self.client.take(count, timeout_s=REPLY_TIMEOUT_S)
        return taken + self._until_marked()

    def _until_marked(self) -> list[Heard]:
        mark = RequestTopic(
            service=Service.INFER,
            target=self._model_name,
            reply_id=f"mark-{next(self._numbers)}",
        )
        self.client.publish(self._topics.request(mark), self._sound_payload)
        awaited = self._topics.response(mark)
        self.client.await_heard(lambda one: one.topic == awaited, timeout_s=REPLY_TIMEOUT_S)
        return [one for one in self.client.take(1, timeout_s=0) if one.topic != awaited]
