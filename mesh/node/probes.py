"""Measures the link to each peer with real frames over MQTT, one probe at a time."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from mesh.errors import MeshError, TooLargeError
from mesh.fleet.links import (
    LARGE_BYTES,
    LEAST_LARGE_BYTES,
    REFRESH_S,
    TIMEOUT_S,
    Sample,
    estimate,
    sizes_bytes,
)
from mesh.ids import NodeId, RequestKey
from mesh.node.loop import Loop
from mesh.wire.documents import Link, LinksDocument
from mesh.wire.frame import Frame, FrameKind, FrameTensor
from mesh.wire.topics import Lane

SendFrame = Callable[[NodeId, Lane, Frame], None]


@dataclass(slots=True, kw_only=True)
class _Series:
    """The probes of one measurement of one peer."""

    started_s: float
    key: RequestKey
    sent_s: float
    sizes_bytes: tuple[int, ...]
    samples: list[Sample] = field(default_factory=list)


class Probes:
    """Keeps a link estimate for each present peer."""

    def __init__(
        self, loop: Loop, *, me: NodeId, send: SendFrame, on_change: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._me = me
        self._send = send
        self._on_change = on_change
        self._series: dict[NodeId, _Series] = {}
        self._links: dict[NodeId, tuple[float, Link]] = {}
        self._large_bytes = LARGE_BYTES

    def document(self) -> LinksDocument:
        return LinksDocument(links=tuple(link for _, (_, link) in sorted(self._links.items())))

    def keep(self, peers: frozenset[NodeId], *, answering: frozenset[NodeId]) -> None:
        """Measure peers that are new or whose measurement is old; forget those that went.

        Only those are asked that hear this node: from others no echo would come.
        """
        for gone in self._series.keys() - peers:
            del self._series[gone]
        for gone in self._links.keys() - peers:
            del self._links[gone]
        now_s = self._loop.now_s()
        for peer in sorted(peers & answering):
            series = self._series.get(peer)
            measured_s, _ = self._links.get(peer, (None, None))
            if series is not None and now_s - series.sent_s < TIMEOUT_S:
                continue
            if series is not None or measured_s is None or now_s - measured_s > REFRESH_S:
                self._begin(peer, now_s)

    def probed(self, frame: Frame) -> None:
        """A peer's PROBE arrived: echo it."""
        echo = Frame(kind=FrameKind.ECHO, request_key=frame.request_key, sender=self._me)
        try:
            self._send(frame.sender, Lane.ECHO, echo)
        except MeshError:
            return  # the peer measures again

    def echoed(self, frame: Frame) -> None:
        """The answer to an own probe arrived."""
        series = self._series.get(frame.sender)
        if series is None or series.key != frame.request_key:
            return
        now_s = self._loop.now_s()
        size_bytes = series.sizes_bytes[len(series.samples)]
        series.samples.append(Sample(size_bytes=size_bytes, round_trip_s=now_s - series.sent_s))
        if len(series.samples) < len(series.sizes_bytes):
            self._probe(frame.sender, series)
            return
        del self._series[frame.sender]
        self._links[frame.sender] = (now_s, estimate(frame.sender, series.samples))
        self._on_change()

    def _begin(self, peer: NodeId, now_s: float) -> None:
        series = _Series(
            started_s=now_s,
            key=RequestKey(b""),
            sent_s=now_s,
            sizes_bytes=sizes_bytes(self._large_bytes),
        )
        self._series[peer] = series
        self._probe(peer, series)

    def _probe(self, peer: NodeId, series: _Series) -> None:
        size_bytes = series.sizes_bytes[len(series.samples)]
        series.key = RequestKey(secrets.token_bytes(16))
        tensors = (FrameTensor(index=0, data=bytes(size_bytes)),) if size_bytes else ()
        frame = Frame(
            kind=FrameKind.PROBE, request_key=series.key, sender=self._me, tensors=tensors
        )
        series.sent_s = self._loop.now_s()
        try:
            self._send(peer, Lane.PROBE, frame)
        except TooLargeError:
            del self._series[peer]
            if self._large_bytes > LEAST_LARGE_BYTES:
                self._large_bytes //= 2  # for a broker of small packets: `keep` begins anew
        except MeshError:
            del self._series[peer]  # not connected yet: `keep` begins anew
