from collections import Counter

import pytest

from mesh.fleet.routes import Route, whole_route
from mesh.ids import ModelId, NodeId, RequestKey, SessionKey
from mesh.pipeline.lane import ModelLane
from mesh.pipeline.request import Request
from mesh.testing.documents import sample_plan, sample_stage
from mesh.wire.documents import Plan
from mesh.wire.frame import SessionStep

A, B, C, D = (NodeId(letter * 16) for letter in "abcd")
PLAN = sample_plan(sample_stage(A, B, start=0, stop=1), sample_stage(C, D, start=1, stop=2))


def a_request(*, pinned: Plan | None = None, way: int = 0, session: bool = False) -> Request:
    return Request(
        key=RequestKey(b"k" * 16),
        model_id=ModelId("0" * 64),
        tensors=(),
        outputs=(),
        arrived_s=0.0,
        deadline_s=1.0,
        pinned=pinned,
        way=way,
        step=SessionStep(key=SessionKey(b"s" * 16), number=0) if session else None,
    )


def send(lane: ModelLane, request: Request) -> NodeId:
    request.attempt += 1
    return lane.send(request, whole_route(PLAN))


def test_what_is_under_way_is_counted_where_it_went() -> None:
    lane, requests = ModelLane(route=whole_route(PLAN)), [a_request() for _ in range(4)]
    for request in requests:
        lane.take_in(request)
        send(lane, request)
    assert (lane.in_flight, lane.sent_to) == (4, Counter({A: 2, B: 2}))
    assert send(lane, requests[0]) == B
    assert lane.sent_to == Counter({A: 1, B: 3})
    for request in requests:
        lane.let_go(request)
    assert lane.in_flight == 0
    assert not +lane.sent_to


def test_a_check_is_counted_nowhere() -> None:
    lane, check = ModelLane(), a_request(pinned=PLAN, way=2)
    lane.take_in(check)
    assert send(lane, check) == B
    assert (lane.in_flight, +lane.sent_to) == (0, Counter())


def test_sessions_take_turns_by_the_ways_that_are_open() -> None:
    lane, sessions = ModelLane(route=whole_route(PLAN)), [a_request(session=True) for _ in range(4)]
    assert [send(lane, one) for one in sessions] == [A, B, A, B]
    assert [one.way for one in sessions] == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("usable", "can_begin"), [(({A, B}, {C}), True), (({A}, {C}), True), (({A}, {D}), False)]
)
def test_a_session_can_begin_where_a_way_is_open(
    usable: tuple[set[NodeId], set[NodeId]], *, can_begin: bool
) -> None:
    lane = ModelLane(route=Route(plan=PLAN, usable=tuple(map(frozenset, usable))))
    assert lane.can_begin(a_request(session=True)) is can_begin
    assert lane.can_begin(a_request())
    assert lane.can_begin(a_request(session=True, pinned=PLAN, way=1))


def test_without_a_route_no_session_begins() -> None:
    assert not ModelLane().can_begin(a_request(session=True))
