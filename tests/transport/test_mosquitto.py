"""The broker as a child process: it comes up, says why not, and never outlives its parent."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mesh.errors import BrokerError
from mesh.transport.mosquitto import MosquittoBroker, configuration, find_mosquitto
from mesh.transport.ports import free_port

LOCAL = "127.0.0.1"
PROGRAM = find_mosquitto()
needs_mosquitto = pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed")
DAEMON = """
import sys
from pathlib import Path
from threading import Thread
from mesh.transport.mosquitto import MosquittoBroker
broker = MosquittoBroker(Path(sys.argv[1]), port=int(sys.argv[2]), bind="127.0.0.1")
starter = Thread(target=broker.start)  # a thread that ends: the broker must not end with it
starter.start()
starter.join()
print(broker.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def broker() -> Iterator[MosquittoBroker]:
    made = MosquittoBroker(PROGRAM or Path(), port=free_port(LOCAL, 18830), bind=LOCAL)
    yield made
    made.stop()


@needs_mosquitto
@pytest.mark.real
def test_it_runs_until_it_is_stopped_and_can_start_again(broker: MosquittoBroker) -> None:
    for _ in range(2):
        broker.start()
        assert broker.is_alive()
        assert broker.kind.startswith("mosquitto 2")
        broker.stop()
        broker.stop()
        assert not broker.is_alive()


@needs_mosquitto
@pytest.mark.real
def test_it_never_runs_as_root_and_leaves_nothing_behind(broker: MosquittoBroker) -> None:
    broker.start()
    process = psutil.Process(broker.pid)
    assert process.uids().effective != 0
    assert not Path(process.cmdline()[-1]).parent.exists()


@needs_mosquitto
@pytest.mark.real
def test_a_death_is_noticed(broker: MosquittoBroker) -> None:
    broker.start()
    process = psutil.Process(broker.pid)
    process.kill()
    process.wait(5)
    psutil.wait_procs([process], timeout=5)
    broker.stop()
    assert not broker.is_alive()


@needs_mosquitto
@pytest.mark.real
def test_a_port_in_use_is_named() -> None:
    with socket.create_server((LOCAL, 0)) as taken:
        port = taken.getsockname()[1]
        broker = MosquittoBroker(PROGRAM or Path(), port=port, bind=LOCAL)
        with pytest.raises(BrokerError, match=f"port {port} is in use"):
            broker.start()


@needs_mosquitto
@pytest.mark.real
def test_it_dies_with_its_daemon_however_that_dies() -> None:
    port = free_port(LOCAL, 18830)
    with subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(PROGRAM), str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as daemon:
        assert daemon.stdout is not None
        child = psutil.Process(int(daemon.stdout.readline()))
        assert child.is_running()
        daemon.kill()
    child.wait(5)
    assert not child.is_running()


@pytest.mark.real
def test_a_program_that_is_no_broker_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    program = tmp_path / "mosquitto"
    program.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    program.chmod(0o755)
    tmp_path.chmod(0o755)
    broker = MosquittoBroker(program, port=free_port(LOCAL, 18830), bind=LOCAL)
    with pytest.raises(BrokerError, match="ended at its start"):
        broker.start()
    assert not broker.is_alive()


def test_a_missing_program_is_an_error() -> None:
    broker = MosquittoBroker(Path("/nowhere"), port=free_port(LOCAL, 18830), bind=LOCAL)
    with pytest.raises(BrokerError, match="does not run"):
        broker.start()


def test_it_is_found_outside_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    expected = Path("/usr/sbin/mosquitto")
    found = find_mosquitto()
    assert found == (expected if os.access(expected, os.X_OK) else None)


def test_the_configuration_bounds_everything() -> None:
    text = configuration(port=1883, bind="", max_packet_bytes=1000)
    assert text.startswith("listener 1883\n")
    for setting in (
        "max_packet_size 1000",
        "memory_limit",
        "max_queued_bytes",
        "max_queued_messages",
    ):
        assert f"\n{setting}" in text
    bound = configuration(port=1, bind="192.0.2.1", max_packet_bytes=1)
    assert bound.startswith("listener 1 192.0.2.1\n")
