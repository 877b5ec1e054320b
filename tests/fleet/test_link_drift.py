from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mesh.fleet.drift import REST_S
from mesh.fleet.link_drift import BAND, LinkPace, frame_sizes, look
from mesh.ids import NodeId
from mesh.planning import PlanLink
from mesh.planning.pieces import PieceMemory, Pieces
from mesh.testing.documents import sample_plan, sample_stage

A, B, C = (NodeId(letter * 16) for letter in "abc")
SIZE_BYTES = 100_000


def a_link(takes: float = 1.0) -> PlanLink:
    """A frame takes 10 ms so many times."""
    return PlanLink(goodput_bytes_per_s=1e7 / takes, message_s=0.0)


def believed(*told: tuple[float, float]) -> list[LinkPace]:
    """The beliefs after each (time, how many times slower than at first)."""
    pace, beliefs = None, []
    for now_s, takes in told:
        pace = look(pace, a_link(takes), size_bytes=SIZE_BYTES, now_s=now_s)
        beliefs.append(pace)
    return beliefs


def slowness(*told: tuple[float, float]) -> list[float]:
    return [round(one.slowness, 3) for one in believed((0.0, 1.0), *told)][1:]


def test_a_slower_link_is_believed_at_once_and_is_fast_again_after_a_rest() -> None:
    assert slowness((1, 4.0)) == [4.0]
    assert slowness((1, 4.0), (REST_S, 1.0), (REST_S + 2, 1.0)) == [4.0, 4.0, 1.0]


def test_a_faster_link_is_believed_at_once_when_it_never_disappointed() -> None:
    assert slowness((1, 0.25)) == [0.25]


def test_a_link_that_disappoints_again_rests_twice_as_long() -> None:
    first, again = believed((0, 1.0), (1, 4.0), (62, 1.0), (63, 4.0))[1::2]
    assert (first.rest_s, again.rest_s) == (REST_S, 2 * REST_S)
    late = believed((0, 1.0), (1, 4.0), (62, 1.0), (1000, 4.0))[-1]
    assert late.rest_s == REST_S


@given(st.lists(st.floats(0.85, 1.2), max_size=30))
def test_noise_changes_no_belief(noise: list[float]) -> None:
    told = [(float(i), one) for i, one in enumerate(noise)]
    assert all(one.is_steady for one in believed((0.0, 1.0), *told))


def test_scheduling_noise_of_a_quick_link_is_none() -> None:
    quick = PlanLink(goodput_bytes_per_s=1e9, message_s=2e-4)
    slow = PlanLink(goodput_bytes_per_s=1e9, message_s=1.2e-3)
    pace = look(None, quick, size_bytes=100, now_s=0.0)
    assert look(pace, slow, size_bytes=100, now_s=1.0) is pace


@given(st.lists(st.floats(0.1, 10.0), min_size=1, max_size=60))
def test_a_link_that_flaps_is_believed_faster_once_a_minute_at_most(told: list[float]) -> None:
    beliefs = believed((0.0, 1.0), *[(5.0 * i, takes) for i, takes in enumerate(told)])
    better_s = [
        5.0 * i
        for i, (before, now) in enumerate(pairwise(beliefs))
        if now.link.goodput_bytes_per_s > before.link.goodput_bytes_per_s * BAND
        and before.rest_s > 0
    ]
    worse_s = [
        5.0 * i
        for i, (before, now) in enumerate(pairwise(beliefs))
        if now.link.goodput_bytes_per_s < before.link.goodput_bytes_per_s
    ]
    for later_s in better_s:
        assert all(later_s - one >= REST_S or one >= later_s for one in worse_s)


def test_the_frames_of_the_live_plan_count_where_it_has_links() -> None:
    pieces = Pieces(
        boundaries=(0, 2, 4),
        boundary_bytes=(10, 500, 20),
        memory={"litert": PieceMemory(piece_bytes=(1, 1), stage_bytes=0)},
    )
    pairs = [(A, B), (B, A), (A, C)]
    assert frame_sizes(pairs, None, pieces, A) == dict.fromkeys(pairs, 20)
    live = sample_plan(sample_stage(A, start=0, stop=2), sample_stage(B, start=2, stop=4))
    assert frame_sizes(pairs, live, pieces, A) == {(A, B): 500, (B, A): 20, (A, C): 20}
