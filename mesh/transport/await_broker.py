"""Start a broker's process and return when it answers; which broker it is is the caller's matter."""

from time import monotonic

import psutil

from mesh.errors import BrokerError
from mesh.fleet.broker_url import BrokerUrl
from mesh.transport.child import Child
from mesh.transport.probe import probe

START_TIMEOUT_S = 15.0  # a Pi Zero 2 W takes seconds to import a Python broker
_FIRST_PAUSE_S = 0.01
_LONGEST_PAUSE_S = 0.2


def await_broker(child: Child, url: BrokerUrl, *, kind: str) -> None:
    """Raises: BrokerError with the child's last words when it ends or stays silent."""
    deadline_s = monotonic() + START_TIMEOUT_S
    pause_s = _FIRST_PAUSE_S
    child.start()
    while not (_listens(child.pid, url.port) and _answers(url)):
        if child.wait(pause_s):
            raise BrokerError(f"{kind} ended at its start at port {url.port}: {child.last_words}")
        if monotonic() > deadline_s:
            raise BrokerError(
                f"{kind} did not answer at {url} within {START_TIMEOUT_S:.0f} s: {child.last_words}"
            )
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _listens(pid: int | None, port: int) -> bool:
    """Whether it is this process that has the port: another's broker may have taken it meanwhile."""
    if pid is None:
        return False
    try:
        process = psutil.Process(pid)
        # psutil 6 renamed `connections`; Debian 12 has 5.9.
        sockets = getattr(process, "net_connections", None) or process.connections
        return any(
            one.status == psutil.CONN_LISTEN and one.laddr.port == port
            for one in sockets(kind="tcp")
        )
    except psutil.Error:
        return False


def _answers(url: BrokerUrl) -> bool:
    try:
        probe(url, timeout_s=1.0)
    except BrokerError:
        return False
    return True
