"""Keeps this node's documents and says each again when it changed or the broker came back."""

from collections.abc import Callable
from typing import Any

from mesh.ids import ModelId, NodeId
from mesh.transport.port import Message
from mesh.wire import codec
from mesh.wire.topics import Fact, FactTopic, TopicSpace


class Publisher:
    """The node's own facts, retained at its own broker."""

    def __init__(
        self,
        topics: TopicSpace,
        *,
        me: NodeId,
        publish: Callable[[Message], bool],
        learn: Callable[[FactTopic, bytes], None],
    ) -> None:
        self._topics = topics
        self._me = me
        self._publish = publish
        self._learn = learn
        self._said: dict[FactTopic, bytes] = {}
        self._unsent: dict[FactTopic, None] = {}  # in the order of saying

    def say(self, fact: Fact, document: Any, *, model_id: ModelId | None = None) -> None:
        """Publish a document if it differs from the last of its kind; this node hears it first."""
        topic = FactTopic(node_id=self._me, fact=fact, model_id=model_id)
        payload = codec.encode(document)
        if self._said.get(topic) == payload:
            return
        self._said[topic] = payload
        self._learn(topic, payload)
        self._send(topic)

    def unsay(self, fact: Fact, *, model_id: ModelId | None = None) -> None:
        """Take a document back."""
        topic = FactTopic(node_id=self._me, fact=fact, model_id=model_id)
        if self._said.pop(topic, None) is not None:
            self._learn(topic, b"")
            self._send(topic)

    def advert(self) -> Message:
        """What introduces this node at another's broker."""
        topic = FactTopic(node_id=self._me, fact=Fact.ADVERT)
        return self._message(topic, self._said.get(topic, b""))

    def said_models(self) -> frozenset[ModelId]:
        """The models of which a capability was published."""
        return frozenset(t.model_id for t in self._said if t.model_id is not None)

    def say_all(self) -> None:
        """Publish everything again, the advert first: it marks a new life."""
        self._unsent = dict.fromkeys((*self._said, *self._unsent))
        self.say_unsent()

    def say_unsent(self) -> None:
        """Try again what the broker could not be given: it was away, or took no more."""
        for topic in sorted(self._unsent, key=lambda topic: topic.fact is not Fact.ADVERT):
            self._send(topic)

    def came_back(self, topic: FactTopic, payload: bytes) -> None:
        """What the own broker says of this node: where somebody else wrote it, the last word is said again."""
        if topic.fact is not Fact.HEARTBEAT and payload != self._said.get(topic, b""):
            self._send(topic)

    def unsay_all(self) -> None:
        """Leave nothing retained behind: on a shared broker it would outlive the node."""
        for topic in list(self._said):
            self.unsay(topic.fact, model_id=topic.model_id)

    def _send(self, topic: FactTopic) -> None:
        """Publish the last word on a subject, which is nothing where it was taken back."""
        if self._publish(self._message(topic, self._said.get(topic, b""))):
            self._unsent.pop(topic, None)
        else:
            self._unsent[topic] = None

    def _message(self, topic: FactTopic, payload: bytes) -> Message:
        return Message(topic=self._topics.fact(topic), payload=payload, qos=1, retain=True)
