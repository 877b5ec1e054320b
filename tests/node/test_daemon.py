import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.config import Config
from mesh.errors import BrokerError, UsageError
from mesh.node import daemon, identity
from mesh.node.node import Node
from mesh.transport.ports import free_port


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """The daemon takes the process's signals: give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def config(folder: Path, **more: str) -> Config:
    return Config(data_dir=folder, bind="127.0.0.1", mdns=False, **more)  # type: ignore[arg-type]


@pytest.mark.real
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    seen: list[Node] = []

    def on_ready(node: Node) -> None:
        seen.append(node)
        os.kill(os.getpid(), number)

    daemon.run(config(tmp_path), on_ready)
    (node,) = seen
    assert node.node_id == identity.node_id(tmp_path)
    os.close(identity.claim(tmp_path))  # it let go of its directory


def test_a_directory_in_use_is_told_before_anything_is_started(tmp_path: Path) -> None:
    held = identity.claim(tmp_path)
    try:
        with pytest.raises(UsageError, match="another node runs"):
            daemon.run(config(tmp_path))
    finally:
        os.close(held)


def test_a_broker_that_is_not_there_is_told_and_the_directory_let_go(tmp_path: Path) -> None:
    nobody = f"mqtt://127.0.0.1:{free_port('127.0.0.1', 18898)}"
    with pytest.raises(BrokerError):
        daemon.run(config(tmp_path, broker=nobody))
    os.close(identity.claim(tmp_path))
