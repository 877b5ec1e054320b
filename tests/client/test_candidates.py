import pytest

from mesh.client.candidates import Candidates
from mesh.client.connection import Connection
from mesh.errors import BrokerError, NotConnectedError
from mesh.testing.bus import MemoryNetwork
from mesh.wire.topics import TopicSpace

A, B, C = URLS = tuple(f"mqtt://{host}:1883" for host in "abc")


class Made:
    """Makes connections and keeps them."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self.all: list[Connection] = []

    def __call__(self, url: str) -> Connection:
        self.all.append(Connection(url, connector=self._network, topics=TopicSpace.of("mesh")))
        return self.all[-1]

    @property
    def up(self) -> list[str]:
        return [one.url for one in self.all if one.is_up]


@pytest.fixture
def made(network: MemoryNetwork) -> Made:
    return Made(network)


def test_the_first_that_answers(network: MemoryNetwork, made: Made) -> None:
    network.broker(A).stop()
    candidates = Candidates(URLS, made, timeout_s=5)
    assert candidates.url == A
    assert candidates.connection().url == B
    assert candidates.connection() is candidates.connection()
    assert (candidates.url, candidates.urls, made.up) == (B, URLS, [B])
    network.broker(A).start()
    assert made.up == [B]  # the one that did not answer was let go


def test_the_next_one_is_asked_and_the_lost_one_tried_last(
    network: MemoryNetwork, made: Made
) -> None:
    candidates = Candidates(URLS, made, timeout_s=5)
    candidates.connection()
    network.broker(A).stop()
    network.broker(A).start()
    assert candidates.connection().url == A  # it was back before anybody asked
    for lost, next_one in ((A, B), (B, C), (C, A)):
        network.broker(lost).stop()
        assert candidates.connection().url == next_one
        assert made.up == [next_one]
        network.broker(lost).start()
    for url in URLS:
        network.broker(url).stop()
    with pytest.raises(BrokerError, match=f"{B}.*{C}.*{A}"):
        candidates.connection()


def test_a_single_one_is_waited_for_without_a_second_connection(
    network: MemoryNetwork, made: Made
) -> None:
    candidates = Candidates((A,), made, timeout_s=0.01)
    first = candidates.connection()
    network.broker(A).stop()
    with pytest.raises(BrokerError, match=f"no broker answered at {A} .* is the node running"):
        candidates.connection()
    network.broker(A).start()
    assert candidates.connection() is first
    assert len(made.all) == 1


def test_closing_lets_go_for_good(made: Made) -> None:
    candidates = Candidates(URLS, made, timeout_s=5)
    candidates.connection()
    candidates.close()
    candidates.close()
    assert made.up == []
    with pytest.raises(NotConnectedError, match="was closed"):
        candidates.connection()
