"""Runs a node as this process: its data directory, its broker, its signals, its end."""

import os
import signal
from collections.abc import Callable
from types import FrameType

from mesh.config import Config
from mesh.node import identity
from mesh.node.adapters import real_adapters
from mesh.node.node import Node
from mesh.transport.malloc import keep_large_blocks


def run(config: Config, on_ready: Callable[["Node"], None] = lambda _node: None) -> None:
    """Run a node until SIGTERM or SIGINT. Raises: MeshError when it cannot start."""
    keep_large_blocks()
    lock = identity.claim(config.data_dir)
    try:
        adapters = real_adapters(config)
        try:
            node = Node(config, adapters)
            _stop_on_signals(node)
            node.run(on_ready)
        finally:
            adapters.broker.stop()
    finally:
        os.close(lock)


def _stop_on_signals(node: Node) -> None:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        node.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
