import threading
from collections.abc import Iterator

import pytest

from mesh.errors import DeadlineExceededError
from mesh.testing.asker import Asker
from mesh.testing.mqtt_client import MqttClient
from mesh.transport.mosquitto import MosquittoBroker, find_mosquitto
from mesh.transport.ports import free_port

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    program = find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed")
    broker = MosquittoBroker(program, port=free_port("127.0.0.1", 18_980), bind="127.0.0.1")
    broker.start()
    yield broker.url
    broker.stop()


@pytest.mark.parametrize("times", [1, 2])
def test_a_second_reply_is_heard_without_waiting(url: str, times: int) -> None:
    """A service that repeats its reply to anything but the mark."""

    def serve(service: MqttClient) -> None:
        for repeat in (times, 1):
            [asked] = service.take(1, timeout_s=5)
            for _ in range(repeat):
                service.publish(asked.topic.replace("/request/", "/response/"), asked.payload)

    with MqttClient(url, "mesh/1/request/#") as service, Asker(url, "m", b"mark") as asker:
        thread = threading.Thread(target=serve, args=(service,))
        thread.start()
        replies = asker.ask("infer/m/me", b"x")
        thread.join()
    assert [(one.topic, one.payload) for one in replies] == [
        ("mesh/1/response/infer/m/me", b"x")
    ] * times


def test_nobody_answers(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mesh.testing.asker.REPLY_TIMEOUT_S", 0.01)
    with Asker(url, "m", b"mark") as asker, pytest.raises(DeadlineExceededError):
        asker.ask("infer/m/me", b"x")
