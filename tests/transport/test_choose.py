from pathlib import Path

import pytest

from mesh.errors import BrokerError
from mesh.transport import choose
from mesh.transport.choose import choose_broker
from mesh.transport.embedded import EmbeddedBroker
from mesh.transport.external import ExternalBroker
from mesh.transport.mosquitto import MosquittoBroker

LOCAL = "127.0.0.1"


def install(monkeypatch: pytest.MonkeyPatch, *, mosquitto: Path | None, amqtt: str | None) -> None:
    monkeypatch.setattr(choose, "find_mosquitto", lambda: mosquitto)
    monkeypatch.setattr(choose, "amqtt_version", lambda: amqtt)


def test_a_given_url_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, mosquitto=Path("/m"), amqtt="1")
    assert isinstance(choose_broker(wish="mqtt://host"), ExternalBroker)


def test_then_mosquitto(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, mosquitto=Path("/m"), amqtt="1")
    chosen = choose_broker(bind=LOCAL, port=18831)
    assert isinstance(chosen, MosquittoBroker)
    assert chosen.url == f"mqtt://{LOCAL}:18831"


def test_then_amqtt(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, mosquitto=None, amqtt="1")
    assert isinstance(choose_broker(bind=LOCAL), EmbeddedBroker)


def test_then_an_error_with_three_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, mosquitto=None, amqtt=None)
    with pytest.raises(BrokerError, match=r"apt install mosquitto.*--broker"):
        choose_broker()
