"""Who is here: decides from heartbeats, wills and connections; mDNS and gossip only suggest.

    UNHEARD ──heartbeat──▶ PRESENT ──connection lost──▶ SUSPECT ──grace over──▶ LOST
                              ▲ └────will, silence───────────────────────────▶ ↑ │
                              └───────────────── heartbeat ────────────────────┴─┘

A machine that lost power sends nothing: silence decides. A daemon that was killed takes its broker
with it: the broken connection makes it suspect at once, and a short grace tells it from a glitch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from mesh.ids import BootId, NodeId
from mesh.wire.documents import Heartbeat, NodeState

MAX_MEMBERS = 256
"""Gossip and mDNS may name anybody; each name costs a connection."""


class Presence(Enum):
    UNHEARD = "unheard"
    PRESENT = "present"
    SUSPECT = "suspect"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait: without a heartbeat, after a broken connection, and before forgetting."""

    silence_s: float
    grace_s: float
    forget_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One other node; `changed_s` is when its presence last changed."""

    node_id: NodeId
    broker_url: str
    presence: Presence
    changed_s: float
    heard_s: float = 0.0
    boot_id: BootId | None = None
    heartbeat: Heartbeat | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """mDNS, a retained advert (its own word) or another node's gossip named a node."""

    node_id: NodeId
    broker_url: str
    own_word: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    node_id: NodeId
    heartbeat: Heartbeat


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLost:
    """The connection to the broker at this URL broke: whoever is behind it may be gone."""

    broker_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    pass


Event = Found | Heard | ConnectionLost | Tick

Members = Mapping[NodeId, Member]


def present(members: Members) -> frozenset[NodeId]:
    """Nodes that take part: a suspect still does until its grace is over."""
    return frozenset(
        node_id
        for node_id, member in members.items()
        if member.presence in (Presence.PRESENT, Presence.SUSPECT)
    )


def step(members: Members, event: Event, *, now_s: float, patience: Patience) -> Members:
    """The members after an event."""
    if isinstance(event, Found):
        return _found(members, event, now_s)
    if isinstance(event, Heard):
        return _heard(members, event, now_s)
    if isinstance(event, ConnectionLost):
        return _suspected(members, event, now_s)
    return _ticked(members, now_s, patience)


def _found(members: Members, event: Found, now_s: float) -> Members:
    known = members.get(event.node_id)
    if known is None and len(members) >= MAX_MEMBERS:
        return members
    if known is not None and (known.broker_url == event.broker_url or not event.own_word):
        return members
    if known is not None and known.presence in (Presence.PRESENT, Presence.SUSPECT):
        return {**members, event.node_id: replace(known, broker_url=event.broker_url)}
    member = Member(
        node_id=event.node_id,
        broker_url=event.broker_url,
        presence=Presence.UNHEARD,
        changed_s=now_s,
    )
    return {**members, event.node_id: member}


def _heard(members: Members, event: Heard, now_s: float) -> Members:
    known = members.get(event.node_id)
    if known is None:
        return members
    beat = event.heartbeat
    gone = beat.state in (NodeState.LOST, NodeState.STOPPED)
    if gone and known.boot_id is not None and beat.boot_id != known.boot_id:
        return members  # the will of an earlier life
    presence = Presence.LOST if gone else Presence.PRESENT
    return {
        **members,
        event.node_id: replace(
            known,
            presence=presence,
            changed_s=known.changed_s if presence is known.presence else now_s,
            heard_s=now_s,
            boot_id=beat.boot_id,
            heartbeat=beat,
        ),
    }


def _suspected(members: Members, event: ConnectionLost, now_s: float) -> Members:
    return {
        node_id: replace(member, presence=Presence.SUSPECT, changed_s=now_s)
        if member.broker_url == event.broker_url and member.presence is Presence.PRESENT
        else member
        for node_id, member in members.items()
    }


def _ticked(members: Members, now_s: float, patience: Patience) -> Members:
    kept = {}
    for node_id, member in members.items():
        aged = _aged(member, now_s, patience)
        if aged is not None:
            kept[node_id] = aged
    return kept


def _aged(member: Member, now_s: float, patience: Patience) -> Member | None:
    waited_s = now_s - member.changed_s
    if member.presence in (Presence.UNHEARD, Presence.LOST):
        return None if waited_s > patience.forget_s else member
    silent = now_s - member.heard_s > patience.silence_s
    grace_over = member.presence is Presence.SUSPECT and waited_s > patience.grace_s
    if silent or grace_over:
        return replace(member, presence=Presence.LOST, changed_s=now_s)
    return member
