from collections.abc import Iterator

import pytest

from mesh.errors import BrokerError, DeadlineExceededError
from mesh.testing.mqtt_client import MqttClient
from mesh.transport.mosquitto import MosquittoBroker, find_mosquitto
from mesh.transport.ports import free_port

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    program = find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed")
    broker = MosquittoBroker(
        program,
        port=free_port("127.0.0.1", 18_960),
        bind="127.0.0.1",
        max_packet_bytes=10_000,
    )
    broker.start()
    yield broker.url
    broker.stop()


def test_properties_reach_a_v5_client_only(url: str) -> None:
    with MqttClient(url, "a/#", v5=True) as new, MqttClient(url, "a/#", v5=False) as old:
        new.publish("a/b", b"x", CorrelationData=b"1", ContentType="text/plain")
        [at_new], [at_old] = new.take(1, timeout_s=5), old.take(1, timeout_s=5)
    assert (at_new.correlation_data, at_new.content_type) == (b"1", "text/plain")
    assert (at_old.correlation_data, at_old.content_type) == (None, None)
    assert (at_old.topic, at_old.payload, at_old.qos, at_old.retain) == ("a/b", b"x", 1, False)


def test_what_is_awaited_stays_to_be_taken(url: str) -> None:
    with MqttClient(url, "a", "b") as client:
        client.publish("a", b"1")
        client.publish("b", b"2")
        client.await_heard(lambda one: one.topic == "b", timeout_s=5)
        assert [one.payload for one in client.take(2, timeout_s=5)] == [b"1", b"2"]
        with pytest.raises(DeadlineExceededError, match="hear 1 messages"):
            client.take(1, timeout_s=0.01)


def test_the_broker_s_reason_is_told(url: str) -> None:
    with MqttClient(url) as client:
        client.publish("a", bytes(11_000))
        assert client.await_end(timeout_s=5) == "Packet too large"


def test_nobody_there() -> None:
    with pytest.raises(BrokerError, match="no broker answers"):
        MqttClient("mqtt://127.0.0.1:1")
