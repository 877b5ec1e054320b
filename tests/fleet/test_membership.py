from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.fleet.membership import (
    MAX_MEMBERS,
    ConnectionLost,
    Event,
    Found,
    Heard,
    Member,
    Members,
    Patience,
    Presence,
    Tick,
    present,
    step,
)
from mesh.ids import BootId, NodeId
from mesh.wire.documents import Heartbeat, NodeState

PATIENCE = Patience(silence_s=4.0, grace_s=1.0, forget_s=60.0)
A, B, C = (NodeId(letter * 16) for letter in "abc")
BOOT, OTHER_BOOT = BootId("1" * 8), BootId("2" * 8)
URL, OTHER_URL = "mqtt://a:1883", "mqtt://b:1883"
GONE = (NodeState.LOST, NodeState.STOPPED)


def beat(state: NodeState = NodeState.READY, boot_id: BootId = BOOT) -> Heartbeat:
    return Heartbeat(boot_id=boot_id, sequence=0, state=state)


def found(node_id: NodeId = A, url: str = URL, *, own_word: bool = True) -> Found:
    return Found(node_id=node_id, broker_url=url, own_word=own_word)


def heard(node_id: NodeId = A, state: NodeState = NodeState.READY, boot_id: BootId = BOOT) -> Heard:
    return Heard(node_id=node_id, heartbeat=beat(state, boot_id))


LOST_CONNECTION = ConnectionLost(broker_url=URL)


def after(*timed: tuple[float, Event]) -> Members:
    """The members after events at their times."""
    members: Members = {}
    for now_s, event in timed:
        members = step(members, event, now_s=now_s, patience=PATIENCE)
    return members


def presence(*timed: tuple[float, Event]) -> Presence:
    return after(*timed)[A].presence


# The life of one node


def test_a_node_that_was_only_named_does_not_take_part() -> None:
    members = after((0, found()))
    assert members[A].presence is Presence.UNHEARD
    assert present(members) == frozenset()


def test_a_heartbeat_makes_a_named_node_present() -> None:
    assert present(after((0, found()), (1, heard()))) == {A}


def test_a_heartbeat_of_a_node_that_nobody_named_is_ignored() -> None:
    assert after((0, heard())) == {}


@pytest.mark.parametrize("state", [NodeState.INIT, NodeState.READY, NodeState.DRAINING])
def test_a_node_in_any_living_state_is_present(state: NodeState) -> None:
    assert presence((0, found()), (1, heard(state=state))) is Presence.PRESENT


@pytest.mark.parametrize("state", GONE)
def test_a_will_or_a_farewell_ends_presence_at_once(state: NodeState) -> None:
    assert presence((0, found()), (1, heard()), (2, heard(state=state))) is Presence.LOST


def test_the_will_of_an_earlier_life_is_ignored() -> None:
    late_will = heard(state=NodeState.LOST, boot_id=BOOT)
    told = after((0, found()), (1, heard(boot_id=OTHER_BOOT)), (2, late_will))
    assert told[A].presence is Presence.PRESENT
    assert told[A].boot_id == OTHER_BOOT


def test_silence_ends_presence() -> None:
    so_far = ((0, found()), (1, heard()))
    assert presence(*so_far, (5.0, Tick())) is Presence.PRESENT
    assert presence(*so_far, (5.1, Tick())) is Presence.LOST


def test_a_broken_connection_makes_suspect_and_a_heartbeat_clears() -> None:
    so_far = ((0, found()), (1, heard()), (2, LOST_CONNECTION))
    assert presence(*so_far) is Presence.SUSPECT
    assert present(after(*so_far)) == {A}
    assert presence(*so_far, (2.9, Tick())) is Presence.SUSPECT
    assert presence(*so_far, (2.9, heard()), (3.1, Tick())) is Presence.PRESENT


def test_a_suspect_is_lost_when_its_grace_is_over() -> None:
    suspect = ((0, found()), (1, heard()), (2, LOST_CONNECTION))
    assert presence(*suspect, (3.1, Tick())) is Presence.LOST


def test_breaking_again_does_not_prolong_the_grace() -> None:
    suspect = ((0, found()), (1, heard()), (2, LOST_CONNECTION), (2.9, LOST_CONNECTION))
    assert presence(*suspect, (3.1, Tick())) is Presence.LOST


def test_a_lost_node_that_is_heard_again_is_present() -> None:
    lost = ((0, found()), (1, heard()), (9, Tick()))
    assert presence(*lost) is Presence.LOST
    assert presence(*lost, (10, heard(boot_id=OTHER_BOOT))) is Presence.PRESENT


def test_the_long_lost_and_the_never_heard_are_forgotten() -> None:
    assert after((0, found()), (60, Tick())) != {}
    assert after((0, found()), (61, Tick())) == {}
    assert after((0, found()), (1, heard()), (9, Tick()), (70, Tick())) == {}


# Addresses


def test_gossip_never_moves_a_known_node() -> None:
    moved = after((0, found()), (1, found(url=OTHER_URL, own_word=False)))
    assert moved[A].broker_url == URL


def test_a_present_node_moves_by_its_own_word_and_stays_present() -> None:
    moved = after((0, found()), (1, heard()), (2, found(url=OTHER_URL)))
    assert moved[A].broker_url == OTHER_URL
    assert present(moved) == {A}


def test_a_lost_node_that_comes_back_elsewhere_must_be_heard_there() -> None:
    moved = after((0, found()), (1, heard()), (9, Tick()), (10, found(url=OTHER_URL)))
    assert (moved[A].broker_url, moved[A].presence) == (OTHER_URL, Presence.UNHEARD)


def test_a_connection_to_a_shared_broker_makes_all_behind_it_suspect() -> None:
    both = ((0.0, found(A)), (0.0, found(B)), (0.0, found(C, OTHER_URL)))
    beats = tuple((1.0, heard(node_id)) for node_id in (A, B, C))
    told = after(*both, *beats, (2, LOST_CONNECTION))
    suspects = {n for n, member in told.items() if member.presence is Presence.SUSPECT}
    assert suspects == {A, B}


def test_the_number_of_members_is_bounded() -> None:
    crowd = [found(NodeId(f"{i:016x}"), own_word=False) for i in range(MAX_MEMBERS + 5)]
    members = after(*((0.0, one) for one in crowd))
    assert len(members) == MAX_MEMBERS
    assert A not in after(*((0.0, one) for one in crowd), (1.0, found()))


# Any sequence of events

nodes = st.sampled_from([A, B, C])
urls = st.sampled_from([URL, OTHER_URL])
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Found, node_id=nodes, broker_url=urls, own_word=st.booleans()),
    st.builds(
        heard,
        nodes,
        st.sampled_from(NodeState) | st.just(NodeState.READY),
        st.sampled_from([BOOT, OTHER_BOOT]),
    ),
    st.builds(ConnectionLost, broker_url=urls),
    st.just(Tick()),
)
waits_s = st.sampled_from([0.0, 0.1, 0.9, 1.1, 3.9, 4.1, 59.0, 61.0])
histories = st.lists(st.tuples(waits_s, events), max_size=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One step: what was, what happened, what is."""

    before: Members
    event: Event
    after: Members
    now_s: float

    @property
    def is_alive_beat(self) -> bool:
        return isinstance(self.event, Heard) and self.event.heartbeat.state not in GONE

    def pairs(self) -> list[tuple[Member, Member]]:
        return [(old, self.after[n]) for n, old in self.before.items() if n in self.after]


def only_a_living_heartbeat_brings_a_node_in(move: Move) -> None:
    entered = present(move.after) - present(move.before)
    if entered:
        assert move.is_alive_beat
        assert isinstance(move.event, Heard)
        assert entered == {move.event.node_id}


def only_a_farewell_or_time_takes_a_node_out(move: Move) -> None:
    left = present(move.before) - present(move.after)
    if isinstance(move.event, Heard):
        assert left <= {move.event.node_id}
        assert not (left and move.is_alive_beat)
    elif not isinstance(move.event, Tick):
        assert not left


def the_will_of_another_life_changes_nothing(move: Move) -> None:
    if isinstance(move.event, Heard) and not move.is_alive_beat:
        known = move.before.get(move.event.node_id)
        if known is not None and known.boot_id not in (None, move.event.heartbeat.boot_id):
            assert move.after == move.before


def nobody_is_present_past_patience(move: Move) -> None:
    if not isinstance(move.event, Tick):
        return
    for member in move.after.values():
        waited_s = move.now_s - member.changed_s
        if member.presence in (Presence.PRESENT, Presence.SUSPECT):
            assert move.now_s - member.heard_s <= PATIENCE.silence_s
        if member.presence is Presence.SUSPECT:
            assert waited_s <= PATIENCE.grace_s
        assert waited_s <= PATIENCE.forget_s or member.presence is Presence.PRESENT


def only_being_named_adds_and_only_time_forgets(move: Move) -> None:
    added, gone = move.after.keys() - move.before.keys(), move.before.keys() - move.after.keys()
    assert not added or isinstance(move.event, Found)
    assert not gone or isinstance(move.event, Tick)
    assert all(move.before[node_id].presence is not Presence.PRESENT for node_id in gone)


def only_its_own_word_moves_a_known_node(move: Move) -> None:
    for old, new in move.pairs():
        if old.broker_url != new.broker_url:
            assert isinstance(move.event, Found)
            assert move.event.own_word
            assert move.event.node_id == new.node_id


def a_change_of_presence_is_dated(move: Move) -> None:
    for old, new in move.pairs():
        if old.presence is not new.presence:
            assert new.changed_s == move.now_s
        elif old.broker_url == new.broker_url:
            assert new.changed_s == old.changed_s


INVARIANTS: tuple[Callable[[Move], None], ...] = (
    only_a_living_heartbeat_brings_a_node_in,
    only_a_farewell_or_time_takes_a_node_out,
    the_will_of_another_life_changes_nothing,
    nobody_is_present_past_patience,
    only_being_named_adds_and_only_time_forgets,
    only_its_own_word_moves_a_known_node,
    a_change_of_presence_is_dated,
)


@given(histories)
def test_every_step_of_every_history_keeps_the_rules(
    history: list[tuple[float, Event]],
) -> None:
    members: Members = {}
    now_s = 100.0
    for wait_s, event in history:
        now_s += wait_s
        move = Move(
            before=members,
            event=event,
            after=step(members, event, now_s=now_s, patience=PATIENCE),
            now_s=now_s,
        )
        for holds in INVARIANTS:
            holds(move)
        assert all(node_id == member.node_id for node_id, member in move.after.items())
        members = move.after


@given(histories)
def test_looking_twice_at_the_same_moment_changes_nothing(
    history: list[tuple[float, Event]],
) -> None:
    members: Members = {}
    now_s = 0.0
    for wait_s, event in history:
        now_s += wait_s
        members = step(members, event, now_s=now_s, patience=PATIENCE)
        members = step(members, Tick(), now_s=now_s, patience=PATIENCE)
        assert step(members, Tick(), now_s=now_s, patience=PATIENCE) == members


@given(histories)
def test_a_fleet_that_goes_quiet_is_lost_and_then_forgotten(
    history: list[tuple[float, Event]],
) -> None:
    members: Members = {}
    now_s = 0.0
    for wait_s, event in history:
        now_s += wait_s
        members = step(members, event, now_s=now_s, patience=PATIENCE)
    quiet = step(members, Tick(), now_s=now_s + PATIENCE.silence_s + 1, patience=PATIENCE)
    assert present(quiet) == frozenset()
    much_later_s = now_s + PATIENCE.silence_s + PATIENCE.forget_s + 2
    assert step(quiet, Tick(), now_s=much_later_s, patience=PATIENCE) == {}
