import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.store.pieces import MAX_STRIKES, Piece, PieceBoard


def board(size: int = 10, peers: tuple[str, ...] = ("a", "b")) -> PieceBoard:
    return PieceBoard(size_bytes=size, piece_bytes=4, peers=peers)


def test_pieces_cover_the_file() -> None:
    assert [board().piece(index) for index in range(3)] == [
        Piece(index=0, start=0, stop=4),
        Piece(index=1, start=4, stop=8),
        Piece(index=2, start=8, stop=10),
    ]


def test_each_peer_gets_another_piece_until_all_are_claimed() -> None:
    pieces = board(8)
    first, second = pieces.claim("a"), pieces.claim("b")
    assert (first, second) == (pieces.piece(0), pieces.piece(1))
    pieces.deliver("a", 0)
    assert pieces.claim("a") is None
    assert not pieces.is_over_for("a")


def test_an_overdue_piece_goes_to_one_more_peer() -> None:
    pieces = board(4, ("a", "b", "c"))
    pieces.claim("a")
    pieces.call_overdue(0)
    assert pieces.claim("b") == pieces.piece(0)
    pieces.call_overdue(0)
    assert pieces.claim("c") is None
    assert pieces.deliver("b", 0)
    assert not pieces.deliver("a", 0)
    assert pieces.sources == ["b"]
    assert pieces.is_complete


def test_a_failed_piece_is_free_again_and_a_bad_peer_is_dropped() -> None:
    pieces = board(4)
    for _ in range(MAX_STRIKES):
        assert pieces.claim("a") is not None
        pieces.fail("a", "broken")
    assert pieces.claim("a") is None
    assert pieces.is_over_for("a")
    assert pieces.claim("b") == pieces.piece(0)
    assert pieces.problems() == "a: broken; b: it was never asked"


def test_a_final_failure_drops_at_once_and_an_interruption_never() -> None:
    pieces = board()
    pieces.claim("a")
    pieces.fail("a", "has none", final=True)
    assert pieces.is_over_for("a")
    for _ in range(5):
        pieces.claim("b")
        pieces.give_back("b")
    assert not pieces.is_over_for("b")


def test_resumed_pieces_are_not_fetched_again() -> None:
    pieces = board()
    pieces.resume(0)
    pieces.resume(2)
    assert pieces.done_bytes == 6
    assert pieces.claim("a") == pieces.piece(1)


def test_starting_over_with_one_peer_keeps_its_pieces() -> None:
    pieces = board()
    pieces.resume(0)
    pieces.deliver("a", 1)
    pieces.deliver("b", 2)
    pieces.only_from("a")
    assert pieces.sources == [None, "a", None]
    assert pieces.claim("b") is None
    assert pieces.claim("a") == pieces.piece(0)


@given(
    st.integers(1, 40),
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["deliver", "fail", "overdue", "give"])),
        max_size=60,
    ),
)
def test_whatever_happens_pieces_are_delivered_once_and_claims_are_missing_ones(
    size: int, steps: list[tuple[str, str]]
) -> None:
    pieces = board(size, ("a", "b", "c"))
    held: dict[str, int] = {}
    delivered: list[int] = []
    for peer, step in steps:
        if peer not in held:
            piece = pieces.claim(peer)
            if piece is not None:
                assert piece.index not in delivered
                held[peer] = piece.index
        elif step == "overdue":
            pieces.call_overdue(held[peer])
        elif step == "deliver":
            index = held.pop(peer)
            assert pieces.deliver(peer, index) is (index not in delivered)
            delivered.append(index)
        else:
            held.pop(peer)
            pieces.fail(peer, "x") if step == "fail" else pieces.give_back(peer)
    assert pieces.is_complete is (len(set(delivered)) == len(pieces.sources))


def test_a_piece_is_wanted_until_delivered() -> None:
    pieces = board()
    assert pieces.is_wanted(0)
    pieces.deliver("a", 0)
    assert not pieces.is_wanted(0)


@pytest.mark.parametrize(("size", "count"), [(1, 1), (4, 1), (5, 2)])
def test_the_last_piece_may_be_short(size: int, count: int) -> None:
    assert len(board(size).sources) == count
