"""Which TCP port a broker here may take; taking it is the broker's."""

import errno
import socket
from itertools import chain

from mesh.errors import BrokerError
from mesh.fleet.broker_url import DEFAULT_PORT

FALLBACK_PORTS = range(18830, 18900)


def free_port(bind: str = "", preferred: int = DEFAULT_PORT) -> int:
    """Return `preferred` if it is free, else the first free of 18830–18899. Raises: BrokerError."""
    for port in chain([preferred], FALLBACK_PORTS):
        if is_free(bind, port):
            return port
    raise BrokerError(
        f"port {preferred} and all of {FALLBACK_PORTS.start}–{FALLBACK_PORTS.stop - 1} are in use: "
        "name another one with --mqtt-port"
    )


def own_host(bind: str) -> str:
    """Return the address at which this machine itself reaches a listener bound to `bind`."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104


def check_free(bind: str, port: int) -> None:
    """Raises: BrokerError naming the port."""
    if not is_free(bind, port):
        raise BrokerError(
            f"port {port} is in use{f' at {bind}' if bind else ''}: name another one with --mqtt-port, "
            f"or use the broker that has it with --broker mqtt://127.0.0.1:{port}"
        )


def is_free(bind: str, port: int) -> bool:
    """Tell whether one may listen there. Raises: BrokerError for an address that is not ours."""
    hosts = [bind] if bind else ["0.0.0.0", "::"]  # noqa: S104 - asks, does not serve
    return all(_may_listen(host, port) for host in hosts)


def _may_listen(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            trial.bind((host, port))
            trial.listen(1)
    except OSError as error:
        return _judge(error, host, port)
    return True


def _judge(error: OSError, host: str, port: int) -> bool:
    if error.errno == errno.EADDRINUSE:
        return False
    if host == "::":
        return True  # no IPv6 here: nothing of it is in the way
    raise BrokerError(f"nothing can listen at {host} port {port}: {error.strerror}") from error
