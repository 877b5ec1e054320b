"""How fast a link is: from round trips of small and large frames to goodput and time per message."""

from collections.abc import Sequence
from dataclasses import dataclass

from mesh.ids import NodeId
from mesh.wire.documents import Link

SMALL_BYTES = 0
LARGE_BYTES = 256 * 1024
LEAST_LARGE_BYTES = 1024
_ROUNDS = 5
_LEAST_SHARE = 1 / 8
"""The bytes of a large frame take at least this share of its round trip: less is noise."""
REFRESH_S = 300.0
TIMEOUT_S = 10.0
_SHORTEST_S = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One probe of `size_bytes` there and an empty echo back."""

    size_bytes: int
    round_trip_s: float


def sizes_bytes(large_bytes: int = LARGE_BYTES) -> tuple[int, ...]:
    """The probes of one measurement, in order: small and large in turn, so that noise meets both."""
    return (SMALL_BYTES, large_bytes) * _ROUNDS


def estimate(peer: NodeId, samples: Sequence[Sample]) -> Link:
    """The best of each size: noise only adds.

    A small round trip is two messages, so one costs half of it; a large one takes longer by the
    bytes alone. A busy moment may make small frames slower than large ones: then the bytes count
    for a share of the large round trip. Raises: ValueError without samples of both sizes.
    """
    small_s = min(s.round_trip_s for s in samples if s.size_bytes == SMALL_BYTES)
    large = [s for s in samples if s.size_bytes != SMALL_BYTES]
    best = min(large, key=lambda s: s.round_trip_s / s.size_bytes)
    large_s = best.round_trip_s
    extra_s = max(large_s - small_s, large_s * _LEAST_SHARE, _SHORTEST_S)
    return Link(peer=peer, goodput_bytes_per_s=best.size_bytes / extra_s, message_s=small_s / 2)
