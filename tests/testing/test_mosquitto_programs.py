from collections.abc import Iterator

import pytest

from mesh.testing.mosquitto_programs import mosquitto_pub, mosquitto_rr, mosquitto_sub
from mesh.testing.mqtt_client import MqttClient
from mesh.transport.mosquitto import MosquittoBroker, find_mosquitto
from mesh.transport.ports import free_port

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    program = find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed")
    broker = MosquittoBroker(program, port=free_port("127.0.0.1", 18_970), bind="127.0.0.1")
    broker.start()
    yield broker.url
    broker.stop()


def test_any_bytes_go_through(url: str) -> None:
    payloads = [bytes(range(256)), b"", b"line\nline\n"]
    with mosquitto_sub(url, "a/#", "-V", "311") as subscription:
        for payload in payloads:
            assert not mosquitto_pub(url, "a/b", payload, "-V", "5")
        printed = subscription.take(3)
    assert [one.payload for one in printed] == payloads
    assert {one.topic for one in printed} == {"a/b"}


def test_request_and_response(url: str) -> None:
    with mosquitto_sub(url, "ask", "-C", "1") as asked, MqttClient(url, "ask") as answering:
        # Retained: whoever asks hears the answer as soon as it has subscribed.
        answering.publish("told", b"\0answer", retain=True)
        assert mosquitto_rr(url, "ask", "told", "question") == b"\0answer"
        assert [one.payload for one in asked.take(1)] == [b"question"]
