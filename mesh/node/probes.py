"""Measures the link to each peer with real frames over MQTT, one probe at a time, and keeps an eye on it."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from mesh.device.processor_time import processor_s
from mesh.errors import MeshError, TooLargeError
from mesh.fleet.link_watch import (
    WINDOW_S,
    Traffic,
    Watch,
    first_watch,
    glance_sizes,
    glanced,
    has_changed,
    is_due,
    is_suspect,
    measured,
    no_slower,
)
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
from mesh.node.delivery import Delivery
from mesh.node.loop import Loop
from mesh.node.message_cost import MessageCost, Surroundings
from mesh.node.post import Post
from mesh.transport.port import Broker
from mesh.wire.frame import Frame, FrameKind, FrameTensor
from mesh.wire.measured import Link, LinksDocument
from mesh.wire.topics import Lane

SendFrame = Callable[[NodeId, Lane, Frame], None]


@dataclass(slots=True, kw_only=True)
class _Series:
    """The probes of one measurement of one peer, or of a glance at a link that was measured.

    `is_asked_for` = glances looked strange. `is_sure` = it was made twice as long, to be sure.
    """

    started_s: float
    key: RequestKey
    sent_s: float
    sizes_bytes: tuple[int, ...]
    is_glance: bool = False
    is_asked_for: bool = False
    is_sure: bool = False
    samples: list[Sample] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _Known:
    """A link that was measured; `counted` are times with what was sent until then, two windows at most."""

    measured_s: float
    link: Link
    watch: Watch
    counted: list[tuple[float, Traffic]] = field(default_factory=list)


def make_probes(
    loop: Loop,
    delivery: Delivery,
    post: Post,
    broker: Broker,
    *,
    me: NodeId,
    own_url: str,
    on_change: Callable[[], None],
) -> "Probes":
    """The probes of a node: its frames, its broker and their processor time are what is measured."""
    around = Surroundings(
        send=lambda frame: post.send_frame(own_url, me, Lane.PROBE, frame),
        processor_s=lambda: (
            processor_s() + (0.0 if broker.pid is None else processor_s(broker.pid))
        ),
        carried=lambda: delivery.carried,
    )
    cost = MessageCost(loop, around, me=me, on_change=on_change)
    return Probes(
        loop, me=me, send=delivery.send, sent=delivery.sent, on_change=on_change, cost=cost
    )


class Probes:
    """Keeps a link estimate for each present peer."""

    def __init__(
        self,
        loop: Loop,
        *,
        me: NodeId,
        send: SendFrame,
        sent: Callable[[NodeId], Traffic],
        on_change: Callable[[], None],
        cost: MessageCost,
    ) -> None:
        self._loop = loop
        self._me = me
        self._send = send
        self._sent = sent
        self._on_change = on_change
        self._cost = cost
        self._series: dict[NodeId, _Series] = {}
        self._links: dict[NodeId, _Known] = {}
        self._large_bytes = LARGE_BYTES

    def document(self) -> LinksDocument:
        cost = self._cost.known
        return LinksDocument(
            links=tuple(known.link for _, known in sorted(self._links.items())),
            message_cpu_s=cost.message_cpu_s,
            byte_cpu_s=cost.byte_cpu_s,
            background_cores=cost.background_cores,
        )

    def keep(
        self,
        peers: frozenset[NodeId],
        *,
        answering: frozenset[NodeId],
        used: frozenset[NodeId] = frozenset(),
    ) -> None:
        """Measure peers that are new or whose measurement is old; forget those that went.

        Only those are asked that hear this node: from others no echo would come. Links in use, to
        whom live plans have this node send, are looked after more closely.
        """
        self._cost.keep()
        for gone in self._series.keys() - peers:
            del self._series[gone]
        for gone in self._links.keys() - peers:
            del self._links[gone]
        now_s = self._loop.now_s()
        for peer in sorted(peers & answering):
            series, known = self._series.get(peer), self._links.get(peer)
            if known is not None:
                self._count(peer, known, now_s)
            if series is not None and now_s - series.sent_s < TIMEOUT_S:
                continue
            if series is not None or known is None or now_s - known.measured_s > REFRESH_S:
                self._begin(peer, now_s)
            elif is_due(known.watch, is_used=peer in used, now_s=now_s):
                self._begin(peer, now_s, is_glance=True)

    def _count(self, peer: NodeId, known: _Known, now_s: float) -> None:
        if not known.counted or now_s - known.counted[-1][0] >= WINDOW_S:
            known.counted = [*known.counted[-1:], (now_s, self._sent(peer))]

    def probed(self, frame: Frame) -> None:
        """A peer's PROBE arrived: echo it. An own one measures what it cost."""
        if frame.sender == self._me:
            self._cost.arrived(frame)
            return
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
        if series.is_glance:
            self._glanced(frame.sender, series, now_s)
        else:
            self._measured(frame.sender, series, now_s)

    def _glanced(self, peer: NodeId, series: _Series, now_s: float) -> None:
        known = self._links[peer]
        known.watch = glanced(known.watch, known.link, series.samples, now_s=now_s)
        if is_suspect(known.watch, now_s=now_s):
            self._begin(peer, now_s, is_asked_for=True)

    def _measured(self, peer: NodeId, series: _Series, now_s: float) -> None:
        """Take the measurement in; one that is news is made twice as long first."""
        link, known = estimate(peer, series.samples), self._links.get(peer)
        if known is None:
            self._links[peer] = _Known(measured_s=now_s, link=link, watch=first_watch(now_s))
            self._on_change()
            return
        link = self._as_it_carries(link, known, now_s)
        is_news = has_changed(known.link, link)
        if is_news and not series.is_sure:
            series.is_sure = True
            series.sizes_bytes += sizes_bytes(self._large_bytes)
            self._series[peer] = series
            self._probe(peer, series)
            return
        if series.is_asked_for or is_news:
            known.watch = measured(known.watch, has_changed=is_news, now_s=now_s)
        known.measured_s, known.link = now_s, link
        self._on_change()

    def _as_it_carries(self, link: Link, known: _Known, now_s: float) -> Link:
        """The link is no slower than what went over it since a window ago."""
        if not known.counted:
            return link
        then_s, before = known.counted[0]
        now = self._sent(link.peer)
        sent = Traffic(
            frames=now.frames - before.frames, size_bytes=now.size_bytes - before.size_bytes
        )
        return no_slower(link, sent, within_s=now_s - then_s)

    def _begin(
        self, peer: NodeId, now_s: float, *, is_glance: bool = False, is_asked_for: bool = False
    ) -> None:
        large_bytes = self._large_bytes
        series = _Series(
            started_s=now_s,
            key=RequestKey(b""),
            sent_s=now_s,
            sizes_bytes=glance_sizes(large_bytes) if is_glance else sizes_bytes(large_bytes),
            is_glance=is_glance,
            is_asked_for=is_asked_for,
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
