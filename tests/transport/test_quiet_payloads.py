"""That the payload stays out of amqtt's debug lines: the effect, since amqtt promises no order."""

import asyncio
import logging

import pytest

from mesh.fleet.broker_url import BrokerUrl
from mesh.testing.recorder import Recorder
from mesh.transport.embedded_main import configuration
from mesh.transport.paho_bus import PahoConnector
from mesh.transport.port import BusEvent, Connected, Message
from mesh.transport.ports import free_port
from mesh.transport.quiet_payloads import QuietBytes

amqtt_broker = pytest.importorskip("amqtt.broker")
LOCAL = "127.0.0.1"
PAYLOAD = b"\xfe" * 20_000


def test_they_are_the_same_bytes_with_a_short_name() -> None:
    quiet = QuietBytes(b"x" * 1000)
    assert quiet == b"x" * 1000
    assert f"{ {'data': quiet} }" == "{'data': <1000 bytes>}"


def send_to_itself(url: BrokerUrl) -> Message:
    heard = Recorder[BusEvent]()
    bus = PahoConnector(v5_accept_timeout_s=0.2).connect(str(url), client_id="a", on_event=heard)
    bus.subscribe("test/x", qos=0)
    heard.wait_for(Connected)
    bus.publish(Message(topic="test/x", payload=PAYLOAD))
    message = heard.wait_for(Message)[0]
    bus.close()
    return message


async def serve_one(url: BrokerUrl) -> Message:
    broker = amqtt_broker.Broker(configuration(f"{url.host}:{url.port}"))
    await broker.start()
    try:
        return await asyncio.to_thread(send_to_itself, url)
    finally:
        await broker.shutdown()


@pytest.mark.real
def test_amqtt_never_writes_a_payload_out(caplog: pytest.LogCaptureFixture) -> None:
    url = BrokerUrl(host=LOCAL, port=free_port(LOCAL, 18830))
    with caplog.at_level(logging.DEBUG, "amqtt.broker"):
        assert asyncio.run(serve_one(url)).payload == PAYLOAD
    lines = [r.getMessage() for r in caplog.records if "Processing broadcast" in r.getMessage()]
    assert lines, "amqtt still has the line that this is for"
    assert max(len(line) for line in lines) < 1000
