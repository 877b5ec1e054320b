"""How fast a link is, and what frames cost the processor: from what was measured to a few figures."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from mesh.ids import NodeId
from mesh.wire.measured import Link

SMALL_BYTES = 0
LARGE_BYTES = 256 * 1024
LEAST_LARGE_BYTES = 1024
_ROUNDS = 5
_LEAST_SHARE = 1 / 8
"""The bytes of a large frame take at least this share of its round trip: less is noise."""
REFRESH_S = 300.0
TIMEOUT_S = 10.0
_SHORTEST_S = 1e-6
_NOTABLE = 0.25
"""A share by which idle work must have changed to be told again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One probe of `size_bytes` there and an empty echo back."""

    size_bytes: int
    round_trip_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Core-seconds that one frame of `size_bytes` took a node and its broker, sent and received."""

    size_bytes: int
    core_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorCost:
    """Core-seconds for a frame sent or received, and for each byte of it; cores busy while idle.

    0 = not known.
    """

    message_cpu_s: float = 0.0
    byte_cpu_s: float = 0.0
    background_cores: float = 0.0


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


def message_cost(work: Sequence[Work]) -> tuple[float, float]:
    """Core-seconds for one frame, and for a byte of it; sending and receiving count the same.

    The lower quartile of each size: whatever else the node did meanwhile only adds, and the least
    would be luck. Raises: ValueError without frames of both sizes.
    """
    small_s = _lower_quartile([one.core_s for one in work if one.size_bytes == SMALL_BYTES])
    byte_s = _lower_quartile(
        [(one.core_s - small_s) / one.size_bytes for one in work if one.size_bytes != SMALL_BYTES]
    )
    return small_s / 2, max(0.0, byte_s) / 2


def _lower_quartile(values: Sequence[float]) -> float:
    if not values:
        raise ValueError("frames of both sizes are needed")
    return sorted(values)[len(values) // 4]


def background_cores(windows: Sequence[float], *, told: float) -> float:
    """What the node takes while no request passes: usual of late, or as told while that is near."""
    usual = max(0.0, statistics.median(windows))
    return told if abs(usual - told) <= _NOTABLE * told else usual
