from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from mesh.fleet.lease import Lease, beats, next_lease
from mesh.ids import NodeId

IDS = [NodeId(f"{i:016x}") for i in range(6)]
A, B, C = IDS[:3]

leases = st.builds(Lease, term=st.integers(0, 4), holder=st.none() | st.sampled_from(IDS))


@dataclass(slots=True)
class Fleet:
    """Nodes that hear the heartbeats of those on the same side, sooner or later."""

    leases: dict[NodeId, Lease]
    sides: Sequence[frozenset[NodeId]] = field(default_factory=tuple)
    ready: frozenset[NodeId] = frozenset(IDS)
    heard: dict[tuple[NodeId, NodeId], Lease] = field(default_factory=dict)

    def side_of(self, node_id: NodeId) -> frozenset[NodeId]:
        return next(side for side in self.sides if node_id in side)

    def beat(self, sender: NodeId) -> None:
        """A heartbeat reaches everybody on the sender's side."""
        for other in self.side_of(sender):
            self.heard[other, sender] = self.leases[sender]

    def look(self, me: NodeId) -> None:
        """The node goes by what the others on its side said last."""
        side = self.side_of(me)
        self.leases[me] = next_lease(
            self.leases[me],
            [self.heard[me, other] for other in side if other != me and (me, other) in self.heard],
            me=me,
            candidates=self.ready & side,
        )

    def stir(self, draw: Random) -> None:
        """Some beat and some look, by chance: much of what is heard is old."""
        for _ in range(10):
            draw.choice((self.beat, self.look))(draw.choice(sorted(self.leases)))

    def settle(self, draw: Random) -> None:
        """Everybody beats and looks a few times, in any order."""
        self.stir(draw)
        for _ in range(4):
            for act in (self.beat, self.look):
                everybody = sorted(self.leases)
                draw.shuffle(everybody)
                for node_id in everybody:
                    act(node_id)

    def agreed(self, side: frozenset[NodeId]) -> Lease:
        (lease,) = {self.leases[node_id] for node_id in side}
        return lease


def one_side(*nodes: NodeId) -> tuple[frozenset[NodeId]]:
    return (frozenset(nodes),)


def test_the_first_candidate_takes_the_first_lease() -> None:
    assert next_lease(Lease(), [], me=A, candidates=[B, A]) == Lease(term=1, holder=A)
    assert next_lease(Lease(), [], me=B, candidates=[B, A]) == Lease()


def test_a_holder_that_is_there_keeps_its_lease() -> None:
    held = Lease(term=3, holder=B)
    for me in (A, B, C):
        assert next_lease(held, [held], me=me, candidates=[A, B, C]) == held


def test_nobody_takes_a_lease_while_nobody_may() -> None:
    held = Lease(term=3, holder=B)
    assert next_lease(held, [], me=A, candidates=[]) == held


def test_the_higher_term_wins_and_then_the_smaller_id() -> None:
    assert beats(Lease(term=2, holder=C), Lease(term=1, holder=A))
    assert beats(Lease(term=2, holder=A), Lease(term=2, holder=C))
    assert beats(Lease(term=2, holder=C), Lease(term=2))
    assert not beats(Lease(term=2), Lease(term=2))


@given(leases, leases, leases)
def test_one_lease_beats_another_in_a_total_order(one: Lease, two: Lease, three: Lease) -> None:
    assert beats(one, two) + beats(two, one) + (one == two) == 1
    if beats(one, two) and beats(two, three):
        assert beats(one, three)


@given(leases, st.lists(leases, max_size=4), st.sampled_from(IDS), st.sets(st.sampled_from(IDS)))
def test_a_lease_never_goes_back(
    mine: Lease, heard: list[Lease], me: NodeId, candidates: set[NodeId]
) -> None:
    new = next_lease(mine, heard, me=me, candidates=candidates)
    assert all(new == old or beats(new, old) for old in (mine, *heard))
    assert new in (mine, *heard) or new.holder == me


states = st.fixed_dictionaries(dict.fromkeys(IDS, leases))
seeds = st.integers(0, 2**32).map(Random)
sets_of_nodes = st.sets(st.sampled_from(IDS), min_size=1).map(frozenset)


@given(states, sets_of_nodes, seeds)
def test_from_any_state_in_any_order_all_agree_on_one_ready_holder(
    start: dict[NodeId, Lease], ready: frozenset[NodeId], draw: Random
) -> None:
    fleet = Fleet(start, one_side(*IDS), ready)
    fleet.settle(draw)
    settled = fleet.agreed(frozenset(IDS))
    assert settled.holder in ready
    fleet.settle(draw)
    assert fleet.agreed(frozenset(IDS)) == settled


@given(states, seeds)
def test_after_losing_one_holder_after_another_the_rest_agree(
    start: dict[NodeId, Lease], draw: Random
) -> None:
    alive = frozenset(IDS)
    fleet = Fleet(start, one_side(*alive))
    term = -1
    while alive:
        fleet.settle(draw)
        settled = fleet.agreed(alive)
        assert settled.holder in alive
        assert settled.term > term
        term = settled.term
        alive -= {settled.holder}
        fleet.leases = {node_id: fleet.leases[node_id] for node_id in alive}
        fleet.sides = one_side(*alive)


@given(states, st.sets(st.sampled_from(IDS), min_size=1, max_size=5).map(frozenset), seeds)
def test_both_sides_of_a_partition_have_a_holder_and_after_healing_there_is_one(
    start: dict[NodeId, Lease], side: frozenset[NodeId], draw: Random
) -> None:
    everybody = frozenset(IDS)
    fleet = Fleet(start, one_side(*IDS))
    fleet.settle(draw)
    fleet.sides = (side, everybody - side)
    fleet.settle(draw)
    held = [fleet.agreed(part) for part in fleet.sides]
    assert all(lease.holder in part for lease, part in zip(held, fleet.sides, strict=True))
    fleet.sides = one_side(*IDS)
    fleet.settle(draw)
    healed = fleet.agreed(everybody)
    assert healed in held
    assert not any(beats(lease, healed) for lease in held)


@given(states, seeds)
def test_a_holder_that_drains_hands_over(start: dict[NodeId, Lease], draw: Random) -> None:
    fleet = Fleet(start, one_side(*IDS))
    fleet.settle(draw)
    old = fleet.agreed(frozenset(IDS))
    assert old.holder is not None
    fleet.ready = frozenset(IDS) - {old.holder}
    fleet.settle(draw)
    new = fleet.agreed(frozenset(IDS))
    assert new.holder == min(fleet.ready)
    assert new.term == old.term + 1


@given(st.permutations(["a", "b", "c"]), st.lists(st.integers(0, 2), min_size=30, max_size=30))
def test_where_the_ends_do_not_hear_each_other_the_lease_comes_to_rest(
    line: list[str], turns: list[int]
) -> None:
    """Three nodes in a row: the middle one hears both ends, which hear only it."""
    nodes = [NodeId(name * 16) for name in line]
    hears = {0: (1,), 1: (0, 2), 2: (1,)}
    leases = dict.fromkeys(range(3), Lease())

    def turn(i: int) -> None:
        candidates = {nodes[i], *(nodes[j] for j in hears[i])}
        told = {nodes[k] for j in hears[i] for k in hears[j]}
        leases[i] = next_lease(
            leases[i],
            [leases[j] for j in hears[i]],
            me=nodes[i],
            candidates=candidates,
            vouched=told - candidates,
        )

    for i in (*turns, 0, 1, 2, 1, 0, 2, 1, 0, 2):
        turn(i)
    settled = dict(leases)
    for i in (0, 1, 2, 2, 1, 0):
        turn(i)
    assert leases == settled
    assert len(set(leases.values())) == 1
