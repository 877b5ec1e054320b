"""Request figures of the last minute: rate and latency percentiles from a bounded record."""

import math
from collections import deque

from mesh.ids import ModelId
from mesh.wire.documents import GatewayStats

WINDOW_S = 60.0
RATE_WINDOW_S = 10.0
MAX_RECORDS = 4096
_FEWEST = 3
_SHORTEST_BURST_S = 1.0
"""Fewer answers, or in less time, are no rate."""


class Statistics:
    """What one model's requests did."""

    def __init__(self) -> None:
        self._latencies: deque[tuple[float, float]] = deque(maxlen=MAX_RECORDS)
        self._answered = 0
        self._failed = 0

    def answered(self, now_s: float, latency_s: float) -> None:
        self._answered += 1
        self._latencies.append((now_s, latency_s))

    def failed(self, _now_s: float) -> None:
        self._failed += 1

    def summary(
        self, model_id: ModelId, now_s: float, *, in_flight: int, queued: int
    ) -> GatewayStats:
        """The rate over the last ten seconds; percentiles (nearest rank) over the last minute."""
        while self._latencies and self._latencies[0][0] < now_s - WINDOW_S:
            self._latencies.popleft()
        ordered = sorted(latency_s for _, latency_s in self._latencies)
        return GatewayStats(
            model_id=model_id,
            requests_per_s=self._rate(now_s),
            p50_s=_percentile(ordered, 0.50),
            p95_s=_percentile(ordered, 0.95),
            answered=self._answered,
            failed=self._failed,
            in_flight=in_flight,
            queued=queued,
        )

    def _rate(self, now_s: float) -> float:
        """Answers per second between the first and the last recent one, so that a burst is told as it was."""
        recent = [at_s for at_s, _ in self._latencies if at_s >= now_s - RATE_WINDOW_S]
        if len(recent) < _FEWEST:
            return len(recent) / RATE_WINDOW_S
        return (len(recent) - 1) / max(recent[-1] - recent[0], _SHORTEST_BURST_S)


def _percentile(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
