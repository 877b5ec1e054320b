import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import UsageError
from mesh.fleet.broker_url import BrokerUrl, parse_broker_url


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("mqtt://192.0.2.1:1884", "192.0.2.1", 1884, "mqtt://192.0.2.1:1884"),
        ("mqtt://pi-4.local", "pi-4.local", 1883, "mqtt://pi-4.local:1883"),
        ("mqtt://[2001:db8::1]:1883/", "2001:db8::1", 1883, "mqtt://[2001:db8::1]:1883"),
        ("MQTT://Broker.Example.", "broker.example.", 1883, "mqtt://broker.example.:1883"),
    ],
)
def test_sound_urls(text: str, host: str, port: int, shown: str) -> None:
    url = parse_broker_url(text)
    assert url == BrokerUrl(host=host, port=port)
    assert str(url) == shown
    assert parse_broker_url(shown) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host:1883",
        "mqtt://",
        "mqtt://:1883",
        "mqtts://host",
        "mqtt://host:0",
        "mqtt://host:-1",
        "mqtt://host:65536",
        "mqtt://host:x",
        "mqtt://host/topic",
        "mqtt://host?x=1",
        "mqtt://user@host",
        "mqtt://[::1",
        "mqtt://ho st",
        "mqtt://ho\nst",
        "mqtt://-host",
        "mqtt://" + "h" * 300,
    ],
)
def test_unsound_urls_are_refused_with_advice(text: str) -> None:
    with pytest.raises(UsageError, match=r"write mqtt://HOST:PORT"):
        parse_broker_url(text)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        url = parse_broker_url("mqtt://" + text)
    except UsageError:
        return
    assert parse_broker_url(str(url)) == url
