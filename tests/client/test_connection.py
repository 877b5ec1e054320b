from typing import Any

import pytest

from mesh.client.connection import Connection, Question
from mesh.errors import NodeLostError, NotConnectedError, RemoteError
from mesh.testing.bus import MemoryNetwork
from mesh.transport.port import Message
from mesh.wire.topics import Service, TopicSpace

A = "mqtt://a:1883"
TOPICS = TopicSpace.of("mesh")


def question(read: Any = lambda message: message.payload) -> Question[bytes]:
    return Question(
        service=Service.INFER, target="m", payload_of=lambda name: name.encode(), read=read
    )


def connect(network: MemoryNetwork) -> Connection:
    return Connection(A, connector=network, topics=TOPICS)


def test_each_request_has_an_id_of_its_own(network: MemoryNetwork, node: Any) -> None:
    node.reply_of = lambda message: message.payload
    connection, other = connect(network), connect(network)
    said = [one.ask(question()).result(0) for one in (connection, connection, other)]
    assert len(set(said)) == 3
    assert connection.waiting == 0
    assert connection.url == A


def test_a_reply_that_nobody_waits_for_is_dropped(network: MemoryNetwork, node: Any) -> None:
    connection = connect(network)
    node.holds = True
    future = connection.ask(question())
    topic = node.held[0].topic.replace("/request/", "/response/")
    stranger = network.connect(A, client_id="stranger", on_event=lambda _event: None)
    for wrong in (topic[:-1] + "9", topic + "x"):
        stranger.publish(Message(topic=wrong, payload=b"no"))
    assert not future.done()
    stranger.publish(Message(topic=topic, payload=b"yes"))
    stranger.publish(Message(topic=topic, payload=b"twice"))
    assert future.result(0) == b"yes"


def test_what_reading_a_reply_raises_is_the_result(network: MemoryNetwork, node: Any) -> None:
    def read(_message: Message) -> bytes:
        raise RemoteError("unreadable")

    node.reply_of = lambda _message: b""
    with pytest.raises(RemoteError, match="unreadable"):
        connect(network).ask(question(read)).result(0)


def test_one_that_cannot_be_made(network: MemoryNetwork) -> None:
    network.broker(A).stop()
    connection = connect(network)
    assert not connection.await_up(5, patient=False)  # a refusal is enough
    assert not connection.await_up(0.01, patient=True)
    assert "cannot be reached" in connection.trouble
    with pytest.raises(NotConnectedError):
        connection.ask(question())
    assert connection.waiting == 0
    network.broker(A).start()
    assert connection.await_up(0, patient=False)


def test_one_that_says_nothing_has_no_answer() -> None:
    class Silent:
        url = A

        def subscribe(self, topic_filter: str, *, qos: int) -> None: ...

    class Connector:
        def connect(self, url: str, **_rest: Any) -> Any:
            return Silent()

    connection = Connection(A, connector=Connector(), topics=TOPICS)
    assert not connection.await_up(0.01, patient=False)
    assert connection.trouble == "no answer"


def test_a_loss_fails_what_was_asked_and_a_reconnection_serves_again(
    network: MemoryNetwork, node: Any
) -> None:
    connection = connect(network)
    node.holds = True
    lost = connection.ask(question())
    node.broker.stop()
    with pytest.raises(NodeLostError, match=A):
        lost.result(0)
    assert not connection.is_up
    node.broker.start()
    assert connection.await_up(0, patient=False)
    node.reply_of = lambda _message: b"again"
    node.holds = False
    assert connection.ask(question()).result(0) == b"again"
