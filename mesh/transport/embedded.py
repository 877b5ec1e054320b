"""amqtt in a process of its own, where mosquitto is not installed; slow, but pip alone brings it."""

import importlib.metadata
import os
import sys
from pathlib import Path

from mesh.errors import BrokerError
from mesh.fleet.broker_url import BrokerUrl
from mesh.transport.await_broker import await_broker
from mesh.transport.child import Child
from mesh.transport.malloc import BROKER_ENVIRONMENT
from mesh.transport.ports import check_free, own_host


def amqtt_version() -> str | None:
    """Return the installed version; None when it is not installed."""
    try:
        return importlib.metadata.version("amqtt")
    except importlib.metadata.PackageNotFoundError:
        return None


class EmbeddedBroker:
    """See `Broker`. MQTT 3.1.1 only, without sessions that outlive their connection."""

    def __init__(self, *, port: int, bind: str = "") -> None:
        self._bind = bind
        self._url = BrokerUrl(host=own_host(bind), port=port)
        self._child: Child | None = None

    @property
    def kind(self) -> str:
        return f"amqtt {amqtt_version() or 'missing'} (embedded)"

    @property
    def url(self) -> str:
        return str(self._url)

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        if amqtt_version() is None:
            raise BrokerError(no_broker_message())
        self.stop()
        check_free(self._bind, self._url.port)
        self._child = Child(
            [sys.executable, "-m", "mesh.transport.embedded_main", self._listen_at()],
            {**os.environ, **BROKER_ENVIRONMENT, "PYTHONPATH": _search_path()},
            user="",  # another user may not be able to read this Python's packages
        )
        try:
            await_broker(self._child, self._url, kind="amqtt")
        except BrokerError:
            self.stop()
            raise

    def is_alive(self) -> bool:
        return self._child is not None and self._child.is_alive

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    def _listen_at(self) -> str:
        host = self._bind or "0.0.0.0"  # noqa: S104 - a broker is there to be reached
        return f"[{host}]:{self._url.port}" if ":" in host else f"{host}:{self._url.port}"


def no_broker_message() -> str:
    """Return what to do when nothing can be a broker here."""
    return (
        "there is no MQTT broker on this machine: apt install mosquitto, "
        "or pip install 'edge-mesh[embedded-broker]', or name one with --broker URL"
    )


def _search_path() -> str:
    """Let the child import this very package, installed or not."""
    ours = str(Path(__file__).parents[2])
    return os.pathsep.join(filter(None, [ours, os.environ.get("PYTHONPATH", "")]))
