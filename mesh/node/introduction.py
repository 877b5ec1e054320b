"""What a node says of itself: the advert that stays, the heartbeat that passes, the will."""

from dataclasses import dataclass

import mesh
from mesh.config import Config
from mesh.device.board import Board
from mesh.device.profile import BoardFacts, DeviceProfile
from mesh.fleet.broker_url import BrokerUrl, parse_broker_url
from mesh.fleet.lease import Lease
from mesh.ids import BootId, NodeId
from mesh.node import identity
from mesh.runtime.port import Runtime
from mesh.wire.documents import Activity, Advert, GatewayStats, Heartbeat, NodeState

_MAX_WHY_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """What this node is about at the moment; `unfiltered` as `Runtime.unfiltered` says it."""

    state: NodeState
    lease: Lease
    activities: tuple[Activity, ...]
    gateway: tuple[GatewayStats, ...]
    unfiltered: str = ""


class Introduction:
    """Knows the node and its board; the rest is handed in."""

    def __init__(
        self,
        config: Config,
        board: Board,
        profile: DeviceProfile,
        facts: BoardFacts,
        *,
        node_id: NodeId,
        boot_id: BootId,
        threads: int,
    ) -> None:
        self._config = config
        self._board = board
        self._profile = profile
        self._facts = facts
        self._node_id = node_id
        self._boot_id = boot_id
        self._threads = threads
        self._sequence = 0
        self._spare_bytes: int | None = None

    def broker_url(self, own_url: str) -> str:
        """Where others reach this node's broker: the existing one, or its own at a reachable address."""
        if self._config.broker_url:
            return own_url
        return str(BrokerUrl(host=self._host(), port=parse_broker_url(own_url).port))

    def advert(
        self, *, broker_url: str, broker_kind: str, http_port: int, runtime: Runtime
    ) -> Advert:
        """What hardly changes while the node runs. Raises: DeviceError when the runtime cannot be used.

        Its memory is what was free at first: later, its own stages take of it.
        """
        host, info = self._host(), runtime.info()
        if self._spare_bytes is None:
            free_bytes = self._board.status(self._profile).memory_available_bytes
            self._spare_bytes = max(0, free_bytes - self._profile.memory.reserved_bytes)
        return Advert(
            node_id=self._node_id,
            boot_id=self._boot_id,
            name=self._config.name,
            mesh_name=self._config.mesh_name,
            version=mesh.__version__,
            board=self._profile.name,
            board_label=self._profile.title,
            runtime=info.name,
            runtime_version=info.version,
            kernel_class=info.kernel_class,
            broker_url=broker_url,
            broker_kind=broker_kind,
            http_url=f"http://{f'[{host}]' if ':' in host else host}:{http_port}",
            host_id=self._facts.host_id,
            host_cores=self._board.cores(),
            threads=self._threads,
            memory_bytes=self._config.memory_bytes or self._spare_bytes,
            owner=self._config.owner,
            operator_versions=runtime.operator_versions().latest(),
        )

    def heartbeat(self, doing: Doing) -> Heartbeat:
        """How the node is now; each call is the next in sequence."""
        self._sequence += 1
        status = self._board.status(self._profile)
        return Heartbeat(
            boot_id=self._boot_id,
            sequence=self._sequence,
            state=doing.state,
            lease_term=doing.lease.term,
            lease_holder=doing.lease.holder,
            load_1min=status.load_1min,
            temperature_c=status.temperature_c,
            memory_available_bytes=status.memory_available_bytes,
            throttled=status.throttled,
            activities=doing.activities,
            gateway=doing.gateway,
            warnings=_warnings(doing),
        )

    def will(self) -> Heartbeat:
        """What the broker says when this node is gone without a word."""
        return Heartbeat(boot_id=self._boot_id, sequence=0, state=NodeState.LOST)

    def _host(self) -> str:
        return identity.reachable_host(advertise=self._config.advertise, bind=self._config.bind)


def _warnings(doing: Doing) -> tuple[str, ...]:
    if not doing.unfiltered:
        return ()
    why = doing.unfiltered[:_MAX_WHY_CHARS]
    sentence = (
        f"interpreters run without a filter of system calls ({why}): add only models that you "
        "trust, or run the node on a kernel with seccomp"
    )
    return (sentence,)
