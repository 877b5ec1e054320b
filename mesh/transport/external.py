"""A broker that somebody else runs: checked once for an answer, never started or stopped."""

from mesh.errors import BrokerError
from mesh.fleet.broker_url import parse_broker_url
from mesh.transport.probe import probe

REACH_TIMEOUT_S = 5.0


class ExternalBroker:
    """See `Broker`. `is_alive` asks over the network, for at most a second."""

    def __init__(self, url: str) -> None:
        self._url = parse_broker_url(url)

    @property
    def kind(self) -> str:
        return "external"

    @property
    def url(self) -> str:
        return str(self._url)

    @property
    def pid(self) -> None:
        return None

    def start(self) -> None:
        probe(self._url, timeout_s=REACH_TIMEOUT_S)

    def is_alive(self) -> bool:
        try:
            probe(self._url, timeout_s=1.0)
        except BrokerError:
            return False
        return True

    def stop(self) -> None:
        """Leave it running: it is not ours."""
