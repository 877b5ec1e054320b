import os

import pytest

from mesh.errors import BrokerError
from mesh.fleet.broker_url import BrokerUrl
from mesh.transport import await_broker as module
from mesh.transport.await_broker import await_broker
from mesh.transport.child import Child
from mesh.transport.mosquitto import MosquittoBroker, find_mosquitto
from mesh.transport.ports import free_port

LOCAL = "127.0.0.1"


def nobody() -> BrokerUrl:
    return BrokerUrl(host=LOCAL, port=free_port(LOCAL, 18890))


def test_a_child_that_ends_is_quoted() -> None:
    child = Child(("/bin/sh", "-c", "echo bad option >&2"), {"PATH": os.defpath}, user="")
    with pytest.raises(BrokerError, match="bad option"):
        await_broker(child, nobody(), kind="it")


def test_a_child_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_TIMEOUT_S", 0.1)
    silent = Child(("/bin/sleep", "60"), {"PATH": os.defpath}, user="")
    with pytest.raises(BrokerError, match="did not answer"):
        await_broker(silent, nobody(), kind="it")
    silent.stop()


@pytest.mark.real
def test_anothers_broker_at_the_port_is_not_taken_for_the_child() -> None:
    port = free_port(LOCAL, 18890)
    program = find_mosquitto()
    assert program is not None
    another = MosquittoBroker(program, port=port, bind=LOCAL)
    another.start()
    try:
        late = Child(("/bin/sh", "-c", "exit 3"), {"PATH": os.defpath}, user="")
        with pytest.raises(BrokerError, match="ended at its start"):
            await_broker(late, BrokerUrl(host=LOCAL, port=port), kind="it")
    finally:
        another.stop()
