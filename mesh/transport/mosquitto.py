"""Mosquitto as a child process with a generated configuration; what clients do with it is elsewhere.

Root's mosquitto would change to the user `mosquitto` by itself. Here `exec_child` does it before,
so that the child still dies with this process, and so that a broker that is open to the network
never runs as root; its directory is given to that user.
"""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from mesh.errors import BrokerError
from mesh.fleet.broker_url import BrokerUrl
from mesh.transport.await_broker import await_broker
from mesh.transport.child import Child
from mesh.transport.malloc import BROKER_ENVIRONMENT
from mesh.transport.ports import check_free, own_host

_USERS = ("mosquitto", "nobody")
_VERSION = re.compile(r"mosquitto version (\d{1,3}(?:\.\d{1,4}){1,3})")

MAX_PACKET_BYTES = 8 << 20
MAX_QUEUED_BYTES = 32 << 20  # per subscriber at QoS 1; boards have 512 MB
# No other setting bounds QoS 0 messages to a subscriber that stalls. Beyond this, publishers are
# dropped until it catches up or its keepalive ends it: better than the kernel killing the node.
MEMORY_BYTES = 256 << 20


def find_mosquitto() -> Path | None:
    """Look in PATH and where Debian puts it, which is not in every user's PATH."""
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    return None if found is None else Path(found)


class MosquittoBroker:
    """See `Broker`."""

    def __init__(
        self,
        program: Path,
        *,
        port: int,
        bind: str = "",
        max_packet_bytes: int = MAX_PACKET_BYTES,
    ) -> None:
        self._program = program
        self._bind = bind
        self._url = BrokerUrl(host=own_host(bind), port=port)
        self._max_packet_bytes = max_packet_bytes
        self._version = ""
        self._child: Child | None = None

    @property
    def kind(self) -> str:
        return f"mosquitto {self._version}".strip()

    @property
    def url(self) -> str:
        return str(self._url)

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        self.stop()
        check_free(self._bind, self._url.port)
        self._version = self._version or _version(self._program)
        try:
            # It reads its configuration at the start only: nothing is left after a kill -9.
            with tempfile.TemporaryDirectory(prefix="edge-mesh-broker-") as directory:
                self._child = self._prepare(Path(directory))
                await_broker(self._child, self._url, kind="mosquitto")
        except OSError as error:
            self.stop()
            raise BrokerError(f"mosquitto's configuration cannot be written: {error}") from error
        except BrokerError:
            self.stop()
            raise

    def is_alive(self) -> bool:
        return self._child is not None and self._child.is_alive

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    def _prepare(self, directory: Path) -> Child:
        user = _unprivileged_user()
        file = directory / "mosquitto.conf"
        text = configuration(
            port=self._url.port, bind=self._bind, max_packet_bytes=self._max_packet_bytes
        )
        file.write_text(text, encoding="ascii")
        if user:
            shutil.chown(directory, user)
            shutil.chown(file, user)
        command = [str(self._program), "-c", str(file)]
        return Child(command, {"PATH": os.defpath, **BROKER_ENVIRONMENT}, user)


def configuration(*, port: int, bind: str, max_packet_bytes: int) -> str:
    """Return the text of a mosquitto.conf (mosquitto.conf(5))."""
    lines = [
        f"listener {port} {bind}".rstrip(),
        "allow_anonymous true",
        "persistence false",
        "set_tcp_nodelay true",
        "sys_interval 0",
        f"max_packet_size {max_packet_bytes}",
        f"memory_limit {MEMORY_BYTES}",
        # Beyond it a slow subscriber's QoS 1 messages are dropped.
        f"max_queued_bytes {MAX_QUEUED_BYTES}",
        "max_queued_messages 1000",
        "max_inflight_messages 20",
        f"max_inflight_bytes {MAX_QUEUED_BYTES}",
        "connection_messages false",
        "log_dest stderr",  # read and bounded by the process that started it
        "log_type error",
        "log_type warning",
    ]
    return "\n".join(lines) + "\n"


def _unprivileged_user() -> str:
    if os.geteuid() != 0:
        return ""
    known = {entry.pw_name for entry in pwd.getpwall()}
    for user in _USERS:
        if user in known:
            return user
    raise BrokerError(f"mosquitto must not run as root: add one of the users {', '.join(_USERS)}")


def _version(program: Path) -> str:
    """Return what `mosquitto -h` says of itself; empty when it does not."""
    try:
        said = subprocess.run([program, "-h"], capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrokerError(f"{program} does not run: {error}") from error
    match = _VERSION.search(said.stdout[:500].decode(errors="replace"))
    return match.group(1) if match else ""
