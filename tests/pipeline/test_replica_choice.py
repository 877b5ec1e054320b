from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mesh.ids import NodeId
from mesh.pipeline.replica_choice import Turns, first_done

A, B, C = (NodeId(letter * 16) for letter in "abc")
node_ids = st.integers(0, 63).map(lambda number: NodeId(f"{number:016x}"))
weights = st.floats(0.001, 1.0)
shares_of_some = st.dictionaries(node_ids, weights, min_size=1, max_size=8)


def turns_of(shares: dict[NodeId, float], count: int) -> list[NodeId]:
    turns: Turns[NodeId] = Turns()
    return [turns.next(shares) for _ in range(count)]


@given(shares=shares_of_some, count=st.integers(1, 200))
def test_each_has_its_share_to_within_one_turn_at_any_time(
    shares: dict[NodeId, float], count: int
) -> None:
    had: Counter[NodeId] = Counter()
    total = sum(shares.values())
    for turn, node_id in enumerate(turns_of(shares, count), start=1):
        had[node_id] += 1
        for key, share in shares.items():
            assert abs(had[key] - turn * share / total) < 1 + 1e-6


@given(shares=shares_of_some)
def test_the_order_in_which_shares_are_named_does_not_matter(shares: dict[NodeId, float]) -> None:
    backwards = dict(reversed(shares.items()))
    # A sum of floats depends on the order: shares that are exact in binary do not.
    exact = {key: round(share * 1024) / 1024 + 1 for key, share in shares.items()}
    assert turns_of(exact, 30) == turns_of({key: exact[key] for key in backwards}, 30)


def test_equal_shares_take_turns_by_node_id() -> None:
    assert turns_of({C: 1.0, A: 1.0, B: 1.0}, 6) == [A, B, C, A, B, C]


def test_a_small_share_comes_in_between() -> None:
    assert turns_of({A: 0.75, B: 0.25}, 8) == [A, A, A, B, A, A, A, B]
    assert turns_of({A: 0.6, B: 0.4}, 5) == [A, B, A, A, B]


@given(
    shares=shares_of_some,
    gone=st.lists(st.sets(node_ids, max_size=6), min_size=1, max_size=4),
    count=st.integers(1, 60),
)
def test_who_is_passed_by_has_no_turn_and_the_others_keep_theirs(
    shares: dict[NodeId, float], gone: list[set[NodeId]], count: int
) -> None:
    turns: Turns[NodeId] = Turns()
    for absent in gone:
        left = {key: share for key, share in shares.items() if key not in absent} or shares
        had = Counter(turns.next(left) for _ in range(count))
        assert had.keys() <= left.keys()
        for key, share in left.items():
            fair = count * share / sum(left.values())
            assert abs(had[key] - fair) < len(shares) + 1


def test_a_return_is_no_flood() -> None:
    """Nobody is owed the turns that it was away for."""
    turns: Turns[NodeId] = Turns()
    both = {A: 0.5, B: 0.5}
    for _ in range(1000):
        turns.next({A: 0.5})
    assert Counter(turns.next(both) for _ in range(10)) == {A: 5, B: 5}


def test_who_has_least_to_do_for_its_pace_is_done_first() -> None:
    shares = {A: 0.6, B: 0.3, C: 0.1}
    assert first_done(shares, {}) == A
    assert first_done(shares, {A: 1}) == A, "a tie goes to the smaller id"
    assert first_done(shares, {A: 2}) == B
    assert first_done(shares, {A: 6, B: 3}) == C


def test_under_load_a_slow_replica_does_not_stand_idle() -> None:
    shares, under_way = {A: 0.75, B: 0.16, C: 0.09}, Counter[NodeId]()
    for _ in range(6):
        under_way[first_done(shares, under_way, enough=2)] += 1
    assert under_way == {A: 2, B: 2, C: 2}
    assert first_done(shares, under_way, enough=2) == A, "then the pace decides"
    assert first_done(shares, {A: 1}, enough=2) == A, "and before that"


@given(shares=shares_of_some, count=st.integers(1, 100))
def test_what_is_under_way_is_divided_by_the_shares(
    shares: dict[NodeId, float], count: int
) -> None:
    under_way: Counter[NodeId] = Counter()
    for _ in range(count):
        under_way[first_done(shares, under_way)] += 1
    for one, other in ((one, other) for one in shares for other in shares):
        # Nobody has so much that another one would have been done with one of them first.
        if under_way[one] > 0:
            ends = under_way[one] / shares[one]
            assert ends <= (under_way[other] + 1) / shares[other] * (1 + 1e-9)
