"""Counts what a connection was handed and the broker has not taken yet, and refuses more; sends nothing."""

from threading import Lock

from mesh.errors import OverloadedError

MAX_MESSAGES = 8192  # far below the 65,535 packet ids that tell them apart


class SendBuffer:
    """Bytes and messages on their way out, by packet id; safe to use from any thread.

    An empty buffer takes a message of any size, so that no bound makes one unsendable.
    """

    def __init__(self, *, max_bytes: int, max_messages: int = MAX_MESSAGES) -> None:
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._lock = Lock()
        self._waiting_bytes = 0
        self._waiting_messages = 0
        self._sizes: dict[int, int] = {}  # bytes by packet id
        self._taken_early: set[int] = set()  # taken before `enter` could say their size

    @property
    def waiting_bytes(self) -> int:
        return self._waiting_bytes

    def reserve(self, size_bytes: int) -> None:
        """Raises: OverloadedError."""
        with self._lock:
            full = self._waiting_bytes > 0 and self._waiting_bytes + size_bytes > self._max_bytes
            if full or self._waiting_messages >= self._max_messages:
                raise OverloadedError(
                    f"{self._waiting_messages} messages ({self._waiting_bytes} bytes) already wait "
                    "to be sent to this broker: send more slowly"
                )
            self._waiting_bytes += size_bytes
            self._waiting_messages += 1

    def give_back(self, size_bytes: int) -> None:
        """Undo `reserve`: the message was not handed over after all."""
        with self._lock:
            self._free(size_bytes)

    def enter(self, packet_id: int, size_bytes: int) -> None:
        """Say which packet the reserved bytes became."""
        with self._lock:
            if packet_id in self._taken_early:
                self._taken_early.remove(packet_id)
                self._free(size_bytes)
            else:
                self._sizes[packet_id] = size_bytes

    def take(self, packet_id: int) -> None:
        """The packet is out: written at QoS 0, acknowledged at QoS 1."""
        with self._lock:
            size_bytes = self._sizes.pop(packet_id, None)
            if size_bytes is None:
                self._taken_early.add(packet_id)
            else:
                self._free(size_bytes)

    def _free(self, size_bytes: int) -> None:
        self._waiting_bytes -= size_bytes
        self._waiting_messages -= 1
