"""Who is there and what they say: keeps members and view from what arrives; decides on no plan."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from mesh.errors import RemoteError, UsageError
from mesh.fleet import membership
from mesh.fleet.broker_url import parse_broker_url
from mesh.fleet.lease import Lease
from mesh.fleet.membership import ConnectionLost, Found, Heard, Member, Patience, Presence, Tick
from mesh.fleet.readings import Condition
from mesh.fleet.view import View, forget, learn
from mesh.ids import NodeId
from mesh.node.loop import Loop
from mesh.wire import codec
from mesh.wire.documents import (
    MAX_DOCUMENT_BYTES,
    Advert,
    Heartbeat,
    NodeState,
    Peer,
    PeersDocument,
)
from mesh.wire.topics import Fact, FactTopic

_log = logging.getLogger("mesh.roster")

GRACE_S = 0.5
"""How long a node may be without its broken connection before it counts as lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterHooks:
    """What is done about what was heard; on the loop's thread."""

    open_peer: Callable[[str], None]
    close_peer: Callable[[str], None]
    catalogue: Callable[[NodeId, bytes], None]
    own_word: Callable[[FactTopic, bytes], None]
    changed: Callable[[], None]


class Roster:
    """The other nodes as this one knows them, and this one's own place among them."""

    def __init__(
        self,
        loop: Loop,
        *,
        me: NodeId,
        mesh_name: str,
        silence_s: float,
        seeds: tuple[str, ...],
        hooks: RosterHooks,
    ) -> None:
        self._loop = loop
        self._me = me
        self._mesh_name = mesh_name
        self._patience = Patience(silence_s=silence_s, grace_s=GRACE_S)
        self._seeds = frozenset(seeds)
        self._hooks = hooks
        self._peer_urls: set[str] = set()
        self.state = NodeState.INIT
        self.own_heartbeat: Heartbeat | None = None
        self.view: View = {}
        self.members: membership.Members = {}

    # What arrives

    def found(self, node_id: NodeId, broker_url: str, *, own_word: bool) -> None:
        """Discovery, a seed's advert or gossip named a node."""
        if node_id == self._me:
            return
        try:
            parse_broker_url(broker_url)
        except UsageError as error:
            _log.debug("node %.16r was not taken in: %s", node_id, error)
            return
        self._step(Found(node_id=node_id, broker_url=broker_url, own_word=own_word))

    def fact(self, url: str, topic: FactTopic, payload: bytes) -> None:
        """A document arrived from the broker at `url`."""
        if topic.node_id == self._me:
            self._hooks.own_word(topic, payload)
            return
        try:
            self._take_in(url, topic, payload)
        except RemoteError as error:
            _log.warning("node %s: %s was dropped: %s", topic.node_id, topic.fact.value, error)

    def learn_own(self, topic: FactTopic, payload: bytes) -> None:
        """A document of this node enters the same view."""
        self.view = learn(self.view, topic, payload)
        self._hooks.changed()

    def disconnected(self, url: str) -> None:
        """The connection to the broker at `url` broke."""
        self._step(ConnectionLost(broker_url=url))
        self._loop.after(GRACE_S * 1.01, self.tick)

    def tick(self) -> None:
        """Time went by."""
        self._step(Tick())

    def connect(self) -> None:
        """Be connected to the brokers of all members and seeds, and to no others."""
        wanted = {member.broker_url for member in self.members.values()} | self._seeds
        for url in wanted:
            self._hooks.open_peer(url)
        for url in self._peer_urls - wanted:
            self._hooks.close_peer(url)
        self._peer_urls = wanted
        for node_id in [n for n in self.view if n != self._me and n not in self.members]:
            self.view = forget(self.view, node_id)

    # What follows from it

    @property
    def others(self) -> frozenset[NodeId]:
        """The other nodes that take part."""
        return membership.present(self.members)

    @property
    def present(self) -> frozenset[NodeId]:
        """All nodes that take part, this one included."""
        return self.others | {self._me}

    @property
    def suspect(self) -> frozenset[NodeId]:
        """Present nodes whose connection has just broken."""
        return frozenset(n for n in self.others if self.members[n].presence is Presence.SUSPECT)

    @property
    def ready(self) -> frozenset[NodeId]:
        """Present nodes that may be given work."""
        others = {n for n in self.others if _state(self.members[n]) is NodeState.READY}
        return frozenset(others | ({self._me} if self.state is NodeState.READY else set()))

    @property
    def draining(self) -> frozenset[NodeId]:
        """Present nodes that are to be left empty."""
        others = {n for n in self.others if _state(self.members[n]) is NodeState.DRAINING}
        is_mine = self.state is NodeState.DRAINING
        return frozenset(others | ({self._me} if is_mine else set()))

    def conditions(self) -> dict[NodeId, Condition]:
        """How the present nodes are; this one tells it as the others do, by its heartbeat."""
        beats = {node_id: self.members[node_id].heartbeat for node_id in self.others}
        return {
            node_id: Condition(
                is_throttled=beat.throttled is True, temperature_c=beat.temperature_c
            )
            for node_id, beat in {**beats, self._me: self.own_heartbeat}.items()
            if beat is not None
        }

    def url_of(self, node_id: NodeId) -> str | None:
        """The broker at which a node is reached."""
        member = self.members.get(node_id)
        return member.broker_url if member is not None else None

    def leases(self) -> list[Lease]:
        """The coordinator's lease as each present node sees it."""
        beats = [self.members[node_id].heartbeat for node_id in sorted(self.others)]
        return [
            Lease(term=beat.lease_term, holder=beat.lease_holder)
            for beat in beats
            if beat is not None
        ]

    def vouched(self) -> frozenset[NodeId]:
        """Nodes that present ones hear and this one does not."""
        documents = [self.view[n].peers for n in self.others if n in self.view]
        told = {peer.node_id for one in documents if one is not None for peer in one.peers}
        return frozenset(told - self.present)

    def hearing_me(self) -> frozenset[NodeId]:
        """The nodes that count this one among their peers."""
        return frozenset(
            node_id
            for node_id, node in self.view.items()
            if node.peers is not None and self._me in {peer.node_id for peer in node.peers.peers}
        )

    def peers_document(self) -> PeersDocument:
        return PeersDocument(
            peers=tuple(
                Peer(node_id=node_id, broker_url=self.members[node_id].broker_url)
                for node_id in sorted(self.others)
            )
        )

    # Taking in

    def _take_in(self, url: str, topic: FactTopic, payload: bytes) -> None:
        member = self.members.get(topic.node_id)
        if topic.fact is Fact.ADVERT and payload and (member is None or member.broker_url != url):
            self._introduced(url, topic, payload)
            member = self.members.get(topic.node_id)
        if member is None or member.broker_url != url:
            return  # nobody speaks for a node but its own broker
        if topic.fact is Fact.HEARTBEAT:
            beat = codec.decode(Heartbeat, payload, max_bytes=MAX_DOCUMENT_BYTES)
            self._step(Heard(node_id=topic.node_id, heartbeat=beat))
        elif topic.fact is Fact.CATALOGUE:
            self._hooks.catalogue(topic.node_id, payload)
        else:
            self.view = learn(self.view, topic, payload)
            self._follow_gossip(topic)
            self._hooks.changed()

    def _follow_gossip(self, topic: FactTopic) -> None:
        node = self.view.get(topic.node_id)
        if topic.fact is Fact.PEERS and node is not None and node.peers is not None:
            for peer in node.peers.peers:
                self.found(peer.node_id, peer.broker_url, own_word=False)

    def _introduced(self, url: str, topic: FactTopic, payload: bytes) -> None:
        """A retained advert at a seed or a shared broker: a node says where it is reached."""
        advert = codec.decode(Advert, payload, max_bytes=MAX_DOCUMENT_BYTES)
        if advert.node_id != topic.node_id:
            raise RemoteError("an advert under another node's topic")
        if advert.mesh_name != self._mesh_name:
            return  # another mesh on the same broker
        known = self.members.get(topic.node_id)
        if known is None or known.presence in (Presence.UNHEARD, Presence.LOST):
            self.found(advert.node_id, advert.broker_url, own_word=True)
        elif advert.broker_url == url:
            _log.info("node %s moved to %s", topic.node_id, url)
            self.found(advert.node_id, url, own_word=True)

    def _step(self, event: membership.Event) -> None:
        before = self.members
        self.members = membership.step(
            before, event, now_s=self._loop.now_s(), patience=self._patience
        )
        if _gist(self.members) != _gist(before):
            self._log_changes(before)
            self._hooks.changed()

    def _log_changes(self, before: membership.Members) -> None:
        for node_id, member in self.members.items():
            old = before.get(node_id)
            if old is None or old.presence is not member.presence:
                _log.info("node %s is %s", node_id, member.presence.value)


def _gist(members: membership.Members) -> dict[NodeId, tuple[object, ...]]:
    """What of the members is a reason to look at everything: load and temperature are none."""
    return {
        node_id: (
            member.presence,
            member.broker_url,
            member.boot_id,
            _state(member),
            (member.heartbeat.lease_term, member.heartbeat.lease_holder)
            if member.heartbeat is not None
            else None,
        )
        for node_id, member in members.items()
    }


def _state(member: Member) -> NodeState | None:
    return member.heartbeat.state if member.heartbeat is not None else None
