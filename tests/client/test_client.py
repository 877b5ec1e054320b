"""The client against nodes that answer over the memory network: no socket, no time."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest

import mesh
from mesh.client import Client, await_reply
from mesh.errors import (
    BadPayloadError,
    BadTopicError,
    BrokerError,
    DeadlineExceededError,
    MeshError,
    NodeLostError,
    NoNodesError,
    NoPlanError,
    NotConnectedError,
    OverloadedError,
    RemoteError,
    TooLargeError,
    UnknownModelError,
    UsageError,
)
from mesh.fleet.discovery import Announcement
from mesh.ids import BootId, NodeId
from mesh.testing.bus import MemoryNetwork
from mesh.testing.discovery import MemorySegment

A, B, C = (f"mqtt://{host}:1883" for host in "abc")
ONES = {"x": np.ones((1, 2), np.float32)}
THREADS, EACH = 8, 25


@pytest.fixture
def client(network: MemoryNetwork, node: Any) -> Client:
    return Client(node.url, connector=network)


def test_it_is_what_the_package_offers() -> None:
    assert mesh.Client is Client


# Asking


def test_an_answer_has_the_bits_that_were_sent(client: Client) -> None:
    x = np.array([[np.nan, -0.0]], np.float32)
    answer = client.infer("m", {"x": x})
    assert answer.outputs["x"].dtype == np.float32
    assert answer.outputs["x"].shape == (1, 2)
    assert answer.outputs["x"].tobytes() == x.tobytes()
    assert answer.model_version == "1"


def test_a_reply_is_found_by_its_topic_of_two_levels(client: Client, node: Any) -> None:
    node.holds = True
    first, second = client.infer_soon("m", ONES), client.infer_soon("m", {"x": np.zeros(3)})
    topics = [one.topic.split("/") for one in node.held]
    assert [levels[:5] for levels in topics] == [["mesh", "1", "request", "infer", "m"]] * 2
    assert topics[0][5] == topics[1][5]
    assert [levels[6] for levels in topics] == ["1", "2"]
    node.held.reverse()  # answered in another order
    node.release()
    assert first.result(0).outputs["x"].shape == (1, 2)
    assert second.result(0).outputs["x"].shape == (3,)


def test_inputs_in_the_models_order(client: Client, node: Any) -> None:
    answer = client.infer("m", [np.zeros(1), np.ones(1)])
    assert {name: float(array[0]) for name, array in answer.outputs.items()} == {"x": 0.0, "y": 1.0}
    with pytest.raises(BadPayloadError, match=r"m takes 2 inputs \(x, y\), not 1"):
        client.infer("m", [np.zeros(1)])
    with pytest.raises(UnknownModelError, match="no model 'other'; there are: m"):
        client.infer("other", [np.zeros(1)])
    node.models = ()
    with pytest.raises(UnknownModelError, match="none yet"):
        client.infer("m", [np.zeros(1)])


def test_a_payload_as_it_is(client: Client, node: Any) -> None:
    node.holds = True
    future = client.send("m", b"\x89PNG", content_type="image/png")
    assert (node.held[0].payload, node.held[0].content_type) == (b"\x89PNG", "image/png")
    assert not future.done()


def test_another_base_topic(network: MemoryNetwork, node: Any) -> None:
    """Nobody answers there."""
    with (
        Client(A, connector=network, base_topic="mine") as client,
        pytest.raises(DeadlineExceededError),
    ):
        client.status(timeout_s=0.01)


def test_status_and_its_refusal(client: Client, node: Any) -> None:
    assert [model.name for model in client.status().models] == ["m"]
    node.refuses_with = NoPlanError("not yet")
    with pytest.raises(NoPlanError, match="not yet"):
        client.status()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("NO_PLAN", NoPlanError),
        ("OVERLOADED", OverloadedError),
        ("UNKNOWN_MODEL", UnknownModelError),
        ("FROM_THE_FUTURE", MeshError),
    ],
)
def test_an_error_reply_is_raised_as_its_class(
    client: Client, node: Any, refusal: Callable[[str], bytes], code: str, kind: type[MeshError]
) -> None:
    node.reply_of = lambda _message: refusal(code)
    with pytest.raises(MeshError, match="it says why") as caught:
        client.infer("m", ONES)
    assert type(caught.value) is kind


@pytest.mark.parametrize("reply", [b"", b"junk", b"[]", b'{"outputs": 3}', b'{"status": "ok"}x'])
def test_a_reply_that_is_none_is_a_remote_error(client: Client, node: Any, reply: bytes) -> None:
    node.reply_of = lambda _message: reply
    with pytest.raises(RemoteError):
        client.infer("m", ONES)


def test_a_reply_beyond_the_bound_is_refused(network: MemoryNetwork, node: Any) -> None:
    with (
        Client(A, connector=network, max_payload_bytes=100) as client,
        pytest.raises(RemoteError, match="at most 100"),
    ):
        client.infer("m", ONES)


def test_a_request_beyond_the_brokers_bound_leaves_nothing_waiting(
    network: MemoryNetwork, node: Any, client: Client
) -> None:
    node.broker.max_packet_bytes = 50
    with pytest.raises(TooLargeError):
        client.infer("m", ONES)
    assert client._candidates.connection().waiting == 0


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#", "..", "m\n"])
def test_a_name_that_no_model_has_is_not_sent(client: Client, node: Any, name: str) -> None:
    with pytest.raises(UnknownModelError):
        client.infer(name, ONES)
    assert node.requests == []


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(client: Client, timeout_s: float) -> None:
    with pytest.raises(UsageError, match="timeout_s"):
        client.infer("m", ONES, timeout_s=timeout_s)


# Silence


def test_a_node_that_stays_silent(client: Client, node: Any) -> None:
    node.holds = True
    with pytest.raises(DeadlineExceededError, match="overloaded"):
        client.status(timeout_s=0.01)
    assert client._candidates.connection().waiting == 0
    node.release()  # too late, harmless
    node.holds = False
    assert client.status().notes == (A,)


def test_a_request_that_is_cancelled_is_forgotten(client: Client, node: Any) -> None:
    node.holds = True
    future = client.infer_soon("m", ONES)
    assert future.cancel()
    node.release()
    with pytest.raises(CancelledError):
        await_reply(future, 0)


# Nodes that are not there, or are lost


def test_no_node_is_found() -> None:
    with pytest.raises(NoNodesError, match=r"'lab'.* within 0\.01 s.*mesh node"):
        Client(mesh_name="lab", discovery=MemorySegment().discovery(), discovery_timeout_s=0.01)


def test_a_node_is_found(network: MemoryNetwork, nodes: list[Any]) -> None:
    segment = MemorySegment()
    for i, one in enumerate(nodes):
        announcement = Announcement(
            node_id=NodeId(str(i) * 16),
            boot_id=BootId("0" * 8),
            name=f"node-{i}",
            mesh_name="other" if i == 0 else "default",
            broker_url=one.url,
        )
        segment.discovery().announce(announcement)
    with Client(connector=network, discovery=segment.discovery()) as client:
        assert (client.url, client.urls) == (B, (B, C))
        assert client.status().notes == (B,)


def test_a_broker_that_does_not_answer_is_named(network: MemoryNetwork) -> None:
    network.broker(A).stop()
    network.broker(B).stop()
    with pytest.raises(BrokerError, match=f"{A} .*cannot be reached.*, {B} ") as caught:
        Client((A, B), connector=network)
    assert caught.value.retryable
    with pytest.raises(BrokerError, match=A):
        Client(A, connector=network, connect_timeout_s=0.01)


@pytest.mark.parametrize("url", ["nonsense", "http://a", "", ()])
def test_a_url_that_is_none(network: MemoryNetwork, url: Any) -> None:
    with pytest.raises(UsageError):
        Client(url, connector=network)


def test_a_base_topic_that_is_none(network: MemoryNetwork) -> None:
    with pytest.raises(BadTopicError):
        Client(A, connector=network, base_topic="a/#")


def test_a_lost_node_fails_what_was_asked(client: Client, node: Any) -> None:
    node.holds = True
    futures = [client.infer_soon("m", ONES) for _ in range(3)]
    node.broker.stop()
    for future in futures:
        with pytest.raises(NodeLostError, match="ask again") as caught:
            await_reply(future, 0)
        assert caught.value.retryable


def test_after_a_loss_another_node_is_asked(network: MemoryNetwork, nodes: list[Any]) -> None:
    with Client((A, B, C), connector=network) as client:
        assert client.status().notes == (A,)
        nodes[0].broker.stop()
        assert client.status().notes == (B,)
        assert client.url == B
        nodes[2].broker.stop()
        nodes[0].broker.start()
        nodes[1].broker.stop()
        assert client.status().notes == (A,)


def test_the_only_node_is_waited_for(client: Client, node: Any) -> None:
    node.broker.stop()
    threading.Timer(0.05, node.broker.start).start()
    assert client.status().notes == (A,)


def test_all_nodes_lost_and_back(network: MemoryNetwork, nodes: list[Any]) -> None:
    with Client((A, B), connector=network) as client:
        for one in nodes:
            one.broker.stop()
        for _ in range(2):
            with pytest.raises(BrokerError, match=f"{B}.*{A}"):
                client.status()
        nodes[1].broker.start()
        assert client.status().notes == (B,)


def test_closing_fails_what_is_waited_for(client: Client, node: Any) -> None:
    node.holds = True
    future = client.infer_soon("m", ONES)
    client.close()
    client.close()
    with pytest.raises(NodeLostError, match="closed"):
        await_reply(future, 0)
    with pytest.raises(NotConnectedError, match="closed"):
        client.status()


# Threads


def test_many_threads_get_their_own_answers(client: Client) -> None:
    wrong: list[float] = []

    def ask(thread: int) -> None:
        for i in range(EACH):
            value = float(thread * EACH + i)
            answer = client.infer("m", {"x": np.full((1, 2), value)})
            if answer.outputs["x"].tolist() != [[value, value]]:
                wrong.append(value)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(THREADS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert wrong == []
    assert client._candidates.connection().waiting == 0


def test_threads_that_lose_their_node_move_together(
    network: MemoryNetwork, nodes: list[Any]
) -> None:
    with Client((A, B), connector=network) as client:
        nodes[0].broker.stop()
        said: list[tuple[str, ...]] = []
        threads = [
            threading.Thread(target=lambda: said.append(client.status().notes))
            for _ in range(THREADS)
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert said == [(B,)] * THREADS
    assert len({message.topic.split("/")[5] for message in nodes[1].requests}) == 1
