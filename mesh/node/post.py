"""The node's connections: one bus to its own broker and one to each peer's; nothing is decided here."""

import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from mesh.errors import MeshError, NotConnectedError
from mesh.ids import NodeId
from mesh.transport.port import Bus, BusConnector, BusEvent, Connected, Disconnected, Message
from mesh.wire import frame as frames
from mesh.wire.topics import FactTopic, FrameTopic, Lane, RequestTopic, TopicSpace

_log = logging.getLogger("mesh.post")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Who is told what; called on the loop's thread. The first argument is the broker's URL.

    What came on a topic that the protocol does not know goes to `request` with None.
    """

    connected: Callable[[str], None]
    disconnected: Callable[[str], None]
    fact: Callable[[str, FactTopic, bytes], None]
    frame: Callable[[FrameTopic, bytes], None]
    request: Callable[[RequestTopic | None, Message], None]


class Post:
    """Buses by URL. Nodes that share a broker share the connection."""

    def __init__(
        self,
        connector: BusConnector,
        topics: TopicSpace,
        *,
        me: NodeId,
        own_url: str,
        shared_broker: bool,
        run_soon: Callable[[Callable[[], None]], None],
    ) -> None:
        self._connector = connector
        self._topics = topics
        self._me = me
        self._own_url = own_url
        self._shared_broker = shared_broker
        self._run_soon = run_soon
        self._listeners: Listeners | None = None
        self._buses: dict[str, Bus] = {}

    def connect(self, listeners: Listeners) -> None:
        """Say who is told; before anything is opened."""
        self._listeners = listeners

    def open_own(self, will: Message) -> None:
        """Connect to the node's own broker: frames, requests and facts arrive here."""
        bus = self._connect(self._own_url, will)
        bus.subscribe(self._topics.all_frames(self._me), qos=0)
        bus.subscribe(self._topics.all_requests(shared=self._shared_broker), qos=1)
        bus.subscribe(self._topics.all_facts(), qos=1)

    def open_peer(self, url: str) -> None:
        """Connect to another node's broker and hear what it says; harmless when open already."""
        if url not in self._buses:
            self._connect(url, None).subscribe(self._topics.all_facts(), qos=1)

    def close_peer(self, url: str) -> None:
        if url != self._own_url and url in self._buses:
            _close_aside(self._buses.pop(url))

    def close(self) -> None:
        """Close every connection, the own one last."""
        own = self._buses.pop(self._own_url, None)
        closing = [_close_aside(bus) for bus in self._buses.values()]
        self._buses.clear()
        for thread in closing:
            thread.join()
        if own is not None:
            own.close()

    def publish_own(self, message: Message) -> bool:
        """Publish at the own broker; False when that failed."""
        try:
            self.say(message)
        except NotConnectedError:
            return False
        except MeshError as error:
            _log.warning("publishing on %s failed: %s", message.topic, error)
            return False
        return True

    def say(self, message: Message) -> None:
        """Publish at the own broker. Raises: TransportError, TooLargeError, OverloadedError, BadTopicError."""
        bus = self._buses.get(self._own_url)
        if bus is None:
            raise NotConnectedError("the node's own broker is closed")
        bus.publish(message)

    def introduce(self, url: str, advert: Message) -> None:
        """Leave the advert at another node's broker: nobody else may have told that node."""
        bus = self._buses.get(url)
        if bus is None or url == self._own_url:
            return
        try:
            bus.publish(advert)
        except MeshError as error:
            _log.warning("no introduction at %s: %s", url, error)

    def withdraw(self, advert: Message) -> None:
        """Take the advert back wherever it was left."""
        for url in self._buses:
            self.introduce(url, replace(advert, payload=b""))

    def send_frame(self, url: str, node_id: NodeId, lane: Lane, frame: frames.Frame) -> None:
        """Send a frame to a node at its broker. Raises: TransportError, TooLargeError, OverloadedError."""
        bus = self._buses.get(url)
        if bus is None:
            raise NotConnectedError(f"no connection to the broker of node {node_id}")
        bus.publish(
            Message(topic=self._topics.frame(node_id, lane), payload=frames.encode(frame), qos=0)
        )

    def _connect(self, url: str, will: Message | None) -> Bus:
        bus = self._connector.connect(
            url,
            client_id=self._client_id(url),
            on_event=lambda event: self._run_soon(lambda: self._heard(url, event)),
            will=will,
        )
        self._buses[url] = bus
        return bus

    def _client_id(self, url: str) -> str:
        """One for each connection: a seed may be this node's own broker under another name."""
        if url == self._own_url:
            return f"mesh-{self._me}"
        return f"mesh-{self._me}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"

    def _heard(self, url: str, event: BusEvent) -> None:
        if url not in self._buses or self._listeners is None:
            return  # said before the connection was closed
        if isinstance(event, Connected):
            self._listeners.connected(url)
        elif isinstance(event, Disconnected):
            self._listeners.disconnected(url)
        else:
            self._sort(self._listeners, url, event)

    def _sort(self, listeners: Listeners, url: str, message: Message) -> None:
        topic = self._topics.parse(message.topic)
        if isinstance(topic, FactTopic):
            listeners.fact(url, topic, message.payload)
        elif isinstance(topic, FrameTopic) and topic.node_id == self._me:
            listeners.frame(topic, message.payload)
        elif not isinstance(topic, FrameTopic) and url == self._own_url:
            listeners.request(topic, message)


def _close_aside(bus: Bus) -> threading.Thread:
    """Close a bus on a thread of its own: a peer that does not answer takes seconds, and the loop beats."""
    thread = threading.Thread(target=bus.close, name=f"closing {bus.url}", daemon=True)
    thread.start()
    return thread
