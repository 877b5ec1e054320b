"""Is there an MQTT broker? One CONNECT by hand (MQTT 3.1.1 §3.1), one answer; the bus is elsewhere."""

import socket

from mesh.errors import BrokerError
from mesh.fleet.broker_url import BrokerUrl

# Protocol "MQTT" level 4, clean session, no keepalive, empty client id; and DISCONNECT.
_CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"
_DISCONNECT = b"\xe0\x00"
_REFUSALS = {
    1: "it does not serve MQTT 3.1.1",
    2: "it wants a client id",
    3: "it is not available now",
    4: "it wants another user name or password",
    5: "it allows no anonymous clients",
}  # §3.2.2.3


def probe(url: BrokerUrl, *, timeout_s: float) -> None:
    """Return when a broker at `url` accepts a client. Raises: BrokerError that says why not."""
    try:
        answer = _answer(url, timeout_s)
    except OSError as error:
        raise BrokerError(f"no broker can be reached at {url}: {error}") from error
    if len(answer) < 4 or answer[0] != 0x20:
        raise BrokerError(f"what listens at {url} is no MQTT broker")
    if answer[3] != 0:
        why = _REFUSALS.get(answer[3], f"return code {answer[3]}")
        raise BrokerError(f"the broker at {url} refuses this node: {why}")


def _answer(url: BrokerUrl, timeout_s: float) -> bytes:
    with socket.create_connection((url.host, url.port), timeout=timeout_s) as connection:
        connection.sendall(_CONNECT)
        answer = b""
        while len(answer) < 4 and (more := connection.recv(4 - len(answer))):
            answer += more
        connection.sendall(_DISCONNECT)
    return answer
