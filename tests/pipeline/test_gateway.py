import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mesh.fleet.reconcile import WINDOW_PER_NODE
from mesh.fleet.routes import Route, whole_route
from mesh.ids import Epoch, ModelId, NodeId, PlanId, RequestKey
from mesh.model.tensor import DataType, TensorSpec
from mesh.pipeline.gateway import (
    MAX_CHILD_DEATHS,
    PATIENCE_S,
    Gateway,
)
from mesh.pipeline.request import Action, Answer, Request, Send
from mesh.pipeline.ways import node_on
from mesh.testing.documents import sample_stage
from mesh.wire.documents import Plan, PlanPhase
from mesh.wire.frame import Frame, FrameKind, FrameTensor, StageTime
from mesh.wire.refusal import Refusal

ME, A, B = NodeId("0" * 16), NodeId("a" * 16), NodeId("b" * 16)
MODEL, OTHER_MODEL = ModelId("0" * 64), ModelId("1" * 64)
OUTPUT = TensorSpec(index=7, name="y", data_type=DataType.UINT8, shape=(3,))
SECOND = TensorSpec(index=2, name="z", data_type=DataType.UINT8, shape=(1,))
STALE = Refusal(code="STALE_EPOCH", message="not held", retryable=True)
CRASHED = Refusal(code="RUNTIME_CRASHED", message="died", retryable=True)
WRONG = Refusal(code="INVOKE_FAILED", message="wrong", retryable=False)
LATENCY_S = 0.1


def a_plan(
    epoch: int = 1,
    stages: int = 1,
    model_id: ModelId = MODEL,
    *,
    replicas: tuple[int, ...] = (),
) -> Plan:
    """Stages on one node each, or on as many as `replicas` says."""
    nodes = iter(NodeId(digit * 16) for digit in "abcdef")
    return Plan(
        plan_id=PlanId(f"{epoch:016x}"),
        epoch=Epoch(epoch),
        model_id=model_id,
        phase=PlanPhase.LIVE,
        stages=tuple(
            sample_stage(*itertools.islice(nodes, count), start=i, stop=i + 1)
            for i, count in enumerate(replicas or (1,) * stages)
        ),
        bottleneck_s=0.01,
        bottleneck="",
        latency_s=LATENCY_S,
        single_node=None,
        single_node_s=None,
        verdict="",
    )


def a_request(
    number: int = 0,
    *,
    now_s: float = 0.0,
    timeout_s: float = 30.0,
    pinned: Plan | None = None,
    model_id: ModelId = MODEL,
) -> Request:
    return Request(
        key=RequestKey(number.to_bytes(16, "little")),
        model_id=model_id,
        tensors=(FrameTensor(index=0, data=b"in"),),
        outputs=(OUTPUT,),
        arrived_s=now_s,
        deadline_s=now_s + timeout_s,
        pinned=pinned,
    )


def a_gateway(plan: Plan | None = None, *, max_queue: int = 8, max_in_flight: int = 0) -> Gateway:
    gateway = Gateway(ME, max_queue=max_queue, max_in_flight=max_in_flight)
    if plan is not None:
        assert gateway.set_route(plan.model_id, whole_route(plan), now_s=0.0) == []
    return gateway


def submit(gateway: Gateway, request: Request) -> list[Action]:
    return gateway.submit(request, now_s=request.arrived_s, no_plan_reason="not planned yet")


def sends(actions: Iterable[Action]) -> list[Send]:
    return [action for action in actions if isinstance(action, Send)]


def answers(actions: Iterable[Action]) -> list[Answer]:
    return [action for action in actions if isinstance(action, Answer)]


def result_of(send: Send, content: bytes = b"out") -> Frame:
    return replace(
        send.frame,
        kind=FrameKind.RESULT,
        timings=(StageTime(stage=0, queue_s=0.0, compute_s=0.01),),
        tensors=(FrameTensor(index=OUTPUT.index, data=content),),
    )


def error_of(send: Send) -> Frame:
    return replace(send.frame, kind=FrameKind.ERROR, tensors=())


def refusal_code(actions: Iterable[Action]) -> str:
    (answer,) = answers(actions)
    assert answer.refusal is not None
    return answer.refusal.code


# One request


def test_a_request_goes_to_the_first_stage_and_its_result_is_the_answer() -> None:
    plan = a_plan(epoch=4, stages=2)
    gateway = a_gateway(plan)
    (send,) = sends(submit(gateway, a_request(timeout_s=5.0)))
    assert send.node_id == A
    assert (send.frame.kind, send.frame.stage, send.frame.epoch) == (FrameKind.ACTIVATION, 0, 4)
    assert (send.frame.sender, send.frame.time_left_s) == (ME, 5.0)
    (answer,) = answers(gateway.result(result_of(send), now_s=0.25))
    assert answer.outputs == (b"out",)
    assert answer.refusal is None
    assert (answer.plan, answer.total_s, answer.attempts) == (plan, 0.25, 1)
    assert len(answer.timings) == 1
    assert gateway.next_due_s() is None


def test_outputs_come_in_the_order_asked_for() -> None:
    gateway = a_gateway(a_plan())
    (send,) = sends(submit(gateway, replace_outputs(a_request(), (OUTPUT, SECOND))))
    frame = replace(
        result_of(send),
        tensors=(
            FrameTensor(index=SECOND.index, data=b"z"),
            FrameTensor(index=5, data=b"of no interest"),
            FrameTensor(index=OUTPUT.index, data=b"out"),
        ),
    )
    (answer,) = answers(gateway.result(frame, now_s=1.0))
    assert answer.outputs == (b"out", b"z")


def replace_outputs(request: Request, outputs: tuple[TensorSpec, ...]) -> Request:
    request.outputs = outputs
    return request


@pytest.mark.parametrize(
    "tensors",
    [
        (),
        (FrameTensor(index=OUTPUT.index, data=b"ou"),),
        (FrameTensor(index=OUTPUT.index + 1, data=b"out"),),
    ],
)
def test_a_result_that_is_no_answer_is_counted_and_awaited_anew(
    tensors: tuple[FrameTensor, ...],
) -> None:
    gateway = a_gateway(a_plan())
    (send,) = sends(submit(gateway, a_request()))
    assert gateway.result(replace(result_of(send), tensors=tensors), now_s=1.0) == []
    assert gateway.counters.damaged == 1
    assert answers(gateway.result(result_of(send), now_s=2.0))


def test_a_later_result_is_dropped() -> None:
    gateway = a_gateway(a_plan())
    (send,) = sends(submit(gateway, a_request()))
    gateway.result(result_of(send), now_s=1.0)
    assert gateway.result(result_of(send), now_s=1.1) == []
    assert gateway.error(error_of(send), WRONG, now_s=1.2) == []
    assert gateway.counters.duplicates == 2


def test_without_a_plan_the_reason_is_the_answer() -> None:
    (answer,) = answers(submit(a_gateway(), a_request()))
    assert answer.refusal == Refusal(code="NO_PLAN", message="not planned yet", retryable=True)


def test_a_full_queue_refuses() -> None:
    gateway = a_gateway(a_plan(), max_queue=2, max_in_flight=1)
    outcomes = [submit(gateway, a_request(i)) for i in range(4)]
    assert [len(sends(outcome)) for outcome in outcomes] == [1, 0, 0, 0]
    assert refusal_code(outcomes[3]) == "OVERLOADED"


def test_requests_under_way_at_their_deadline_make_room_for_those_that_wait() -> None:
    gateway = a_gateway(a_plan(), max_in_flight=1)
    submit(gateway, a_request(0, timeout_s=1.0))
    submit(gateway, a_request(1, timeout_s=1.0))
    submit(gateway, a_request(2, timeout_s=5.0))
    actions = gateway.tick(now_s=1.0)
    assert [answer.key[0] for answer in answers(actions)] == [0, 1]
    assert sends(actions)[-1].frame.request_key[0] == 2


def test_a_removed_model_refuses_what_waits_and_what_is_under_way() -> None:
    gateway = a_gateway(a_plan(), max_in_flight=1)
    for i in range(3):
        submit(gateway, a_request(i))
    gone = gateway.drop_model(MODEL, now_s=1.0, reason="removed")
    assert len(answers(gone)) == 3
    assert refusal_code(submit(gateway, a_request(9))) == "NO_PLAN"


# Retries


def test_an_error_that_a_retry_cannot_mend_is_the_answer() -> None:
    gateway = a_gateway(a_plan())
    (send,) = sends(submit(gateway, a_request()))
    (answer,) = answers(gateway.error(error_of(send), WRONG, now_s=1.0))
    assert answer.refusal == WRONG


def test_an_error_that_may_pass_is_tried_again_shortly() -> None:
    gateway = a_gateway(a_plan())
    (send,) = sends(submit(gateway, a_request()))
    assert gateway.error(error_of(send), STALE, now_s=1.0) == []
    due_s = gateway.next_due_s()
    assert due_s is not None
    assert 1.0 < due_s < 1.5
    (again,) = sends(gateway.tick(now_s=due_s))
    assert again.frame.attempt == 2
    assert gateway.error(error_of(send), WRONG, now_s=due_s) == []  # of the attempt before
    assert answers(gateway.result(result_of(send), now_s=due_s))  # late, and as good as any


def test_a_request_that_kills_its_stage_is_not_tried_for_ever() -> None:
    gateway = a_gateway(a_plan())
    pending = sends(submit(gateway, a_request()))
    outcome: list[Action] = []
    for death in range(MAX_CHILD_DEATHS):
        assert not answers(outcome)
        outcome = gateway.error(error_of(pending[-1]), CRASHED, now_s=float(death))
        pending += sends(gateway.tick(now_s=death + 0.9))
    assert refusal_code(outcome) == "RUNTIME_CRASHED"
    assert len(pending) == MAX_CHILD_DEATHS


def test_stages_that_died_before_the_request_came_do_not_count_together() -> None:
    gateway = a_gateway(a_plan(stages=3))
    (send,) = sends(submit(gateway, a_request()))
    for stage in range(3):
        crashed = replace(error_of(send), stage=stage)
        assert gateway.error(crashed, CRASHED, now_s=float(stage)) == []
        (send,) = sends(gateway.tick(now_s=stage + 0.9))


def test_a_repeated_report_of_one_death_is_one_death() -> None:
    gateway = a_gateway(a_plan())
    (send,) = sends(submit(gateway, a_request()))
    for _ in range(MAX_CHILD_DEATHS + 1):
        assert gateway.error(error_of(send), CRASHED, now_s=0.0) == []


def test_what_could_not_be_sent_is_sent_shortly() -> None:
    gateway = a_gateway(a_plan())
    (send,) = sends(submit(gateway, a_request()))
    gateway.unsent(send.frame.request_key, now_s=0.0)
    assert sends(gateway.tick(now_s=0.2))
    gateway.unsent(RequestKey(b"unknown"), now_s=0.0)


def attempts_within(timeout_s: float, react: Callable[[Gateway, Send, float], object]) -> int:
    """How often a request is sent until its deadline, looked at every 20 ms."""
    gateway = a_gateway(a_plan())
    actions = submit(gateway, a_request(timeout_s=timeout_s))
    count = 0
    for now_s in itertools.count(0.0, 0.02):
        for send in sends(actions):
            count += 1
            react(gateway, send, now_s)
        if answers(actions):
            assert refusal_code(actions) == "DEADLINE_EXCEEDED"
            assert timeout_s <= now_s < timeout_s + 0.05
            return count
        actions = gateway.tick(now_s=now_s)
    raise AssertionError


def test_silence_is_met_with_doubling_patience() -> None:
    # After 2.8, 5.6, 11.2 and 22.4 s more.
    assert PATIENCE_S == 2.0
    assert attempts_within(30.0, lambda gateway, send, now_s: None) == 4


def test_constant_refusals_are_met_with_about_one_retry_a_second() -> None:
    def refuse(gateway: Gateway, send: Send, now_s: float) -> None:
        gateway.error(error_of(send), STALE, now_s=now_s)

    assert attempts_within(10.0, refuse) <= 15


def test_a_broken_connection_is_met_with_about_one_retry_a_second() -> None:
    def fail(gateway: Gateway, send: Send, now_s: float) -> None:
        gateway.unsent(send.frame.request_key, now_s=now_s)

    assert attempts_within(10.0, fail) <= 15


# Plans that come and go


def test_what_was_under_way_when_a_node_went_is_sent_again_in_order_under_the_next_plan() -> None:
    gateway = a_gateway(a_plan(), max_in_flight=2)
    for i in range(3):
        submit(gateway, a_request(i, now_s=i / 10))
    assert gateway.set_route(MODEL, None, now_s=1.0) == []
    assert gateway.tick(now_s=5.0) == []
    resent = sends(gateway.set_route(MODEL, whole_route(a_plan(epoch=2)), now_s=6.0))
    assert [send.frame.request_key[0] for send in resent] == [0, 1]
    assert {send.frame.epoch for send in resent} == {2}


def test_a_result_of_the_plan_before_is_as_good() -> None:
    gateway = a_gateway(a_plan())
    (send,) = sends(submit(gateway, a_request()))
    gateway.set_route(MODEL, None, now_s=1.0)
    assert answers(gateway.result(result_of(send), now_s=1.1))
    assert gateway.set_route(MODEL, whole_route(a_plan(epoch=2)), now_s=2.0) == []


def test_requests_wait_for_the_next_plan_but_not_past_their_deadline() -> None:
    gateway = a_gateway(a_plan())
    gateway.set_route(MODEL, None, now_s=0.0)
    assert submit(gateway, a_request(timeout_s=2.0)) == []
    assert gateway.next_due_s() == 2.0
    assert refusal_code(gateway.tick(now_s=2.0)) == "DEADLINE_EXCEEDED"


def test_where_no_plan_can_come_requests_get_the_reason_at_once() -> None:
    gateway = a_gateway(a_plan(), max_in_flight=1)
    (send,) = sends(submit(gateway, a_request(0)))
    submit(gateway, a_request(1))
    checked = submit(gateway, a_request(2, pinned=a_plan(epoch=9)))
    ended = answers(gateway.end_plan(MODEL, now_s=1.0, reason="all are quarantined"))
    assert [answer.key[0] for answer in ended] == [0, 1]
    for answer in ended:
        assert answer.refusal is not None
        assert (answer.refusal.code, answer.refusal.retryable) == ("NO_PLAN", True)
        assert answer.refusal.message == "all are quarantined"
    assert gateway.result(result_of(send), now_s=1.1) == []
    assert refusal_code(submit(gateway, a_request(3))) == "NO_PLAN"
    assert answers(gateway.result(result_of(sends(checked)[0]), now_s=1.2))
    gateway.set_route(MODEL, None, now_s=2.0)
    assert refusal_code(submit(gateway, a_request(4))) == "NO_PLAN"
    gateway.set_route(MODEL, whole_route(a_plan(epoch=9)), now_s=3.0)
    assert sends(submit(gateway, a_request(5)))


def test_a_pinned_request_goes_by_its_own_plan_past_queue_and_window() -> None:
    gateway = a_gateway(a_plan(), max_in_flight=1)
    submit(gateway, a_request(0))
    submit(gateway, a_request(1))
    checked = a_plan(epoch=9, stages=2)
    (send,) = sends(submit(gateway, a_request(2, pinned=checked)))
    assert send.frame.epoch == 9
    gateway.set_route(MODEL, None, now_s=0.0)
    (answer,) = answers(gateway.result(result_of(send), now_s=1.0))
    assert answer.plan == checked


def test_a_golden_check_passes_a_full_queue() -> None:
    gateway = a_gateway(a_plan(), max_queue=1)
    gateway.set_route(MODEL, None, now_s=0.0)  # a node went: all wait for the plan to be checked
    submit(gateway, a_request(0))
    assert refusal_code(submit(gateway, a_request(1))) == "OVERLOADED"
    assert sends(submit(gateway, a_request(2, pinned=a_plan(epoch=9))))


def test_a_golden_check_that_hangs_takes_nothing_of_the_window() -> None:
    gateway = a_gateway(a_plan(), max_in_flight=1)
    submit(gateway, a_request(0, pinned=a_plan(epoch=9)))
    (send,) = sends(submit(gateway, a_request(1)))
    assert sends(submit(gateway, a_request(2))) == []
    assert len(sends(gateway.result(result_of(send), now_s=1.0))) == 1


def test_a_model_that_never_had_a_plan_leaves_nothing_behind() -> None:
    gateway = a_gateway()
    assert refusal_code(submit(gateway, a_request())) == "NO_PLAN"
    assert gateway.stats(now_s=0.0) == ()


def test_a_pinned_request_needs_no_live_plan() -> None:
    assert sends(submit(a_gateway(), a_request(pinned=a_plan())))


def test_models_do_not_share_a_window() -> None:
    gateway = a_gateway(a_plan(), max_in_flight=1)
    gateway.set_route(OTHER_MODEL, whole_route(a_plan(model_id=OTHER_MODEL)), now_s=0.0)
    assert sends(submit(gateway, a_request(0)))
    assert sends(submit(gateway, a_request(1, model_id=OTHER_MODEL)))
    assert [(one.model_id, one.in_flight) for one in gateway.stats(now_s=0.0)] == [
        (MODEL, 1),
        (OTHER_MODEL, 1),
    ]


# Replicas

C, D, E = (NodeId(digit * 16) for digit in "cde")


def a_route(plan: Plan, *usable: set[NodeId]) -> Route:
    return Route(plan=plan, usable=tuple(map(frozenset, usable)))


def test_each_replica_has_the_window_of_a_node() -> None:
    gateway = a_gateway(a_plan(replicas=(3,)), max_queue=99)
    sent = [send for i in range(9) for send in sends(submit(gateway, a_request(i)))]
    assert Counter(send.node_id for send in sent) == dict.fromkeys((A, B, C), WINDOW_PER_NODE)


def test_a_request_goes_to_the_replica_that_would_be_done_first() -> None:
    plan = a_plan()
    fast, slow = (replace(plan.stages[0].replicas[0], share=share) for share in (0.8, 0.2))
    uneven = replace(plan.stages[0], replicas=(fast, replace(slow, node_id=B)))
    gateway = a_gateway(replace(plan, stages=(uneven,)), max_in_flight=10)
    sent = [send for i in range(10) for send in sends(submit(gateway, a_request(i)))]
    assert Counter(send.node_id for send in sent) == {A: 8, B: 2}
    for send in sent:
        gateway.result(result_of(send), now_s=1.0)
    (send,) = sends(submit(gateway, a_request(11)))
    assert send.node_id == A, "what was answered is under way no more"


def test_a_retry_goes_to_other_replicas() -> None:
    gateway = a_gateway(a_plan(replicas=(2, 2)))
    (send,) = sends(submit(gateway, a_request()))
    tried = [send]
    for now_s in (1.0, 2.0, 3.0):
        gateway.error(error_of(tried[-1]), STALE, now_s=now_s)
        tried += sends(gateway.tick(now_s=now_s + 0.9))
    assert [one.node_id for one in tried] == [A, B, A, B]
    assert tried[0].frame.way == 0
    later = [node_on(a_plan(replicas=(2, 2)).stages[1], one.frame.way) for one in tried[1:]]
    assert later in ([C, D, C], [D, C, D])


def test_a_replica_that_cannot_be_sent_to_is_passed_by_at_once() -> None:
    gateway = a_gateway(a_plan(replicas=(2,)))
    (send,) = sends(submit(gateway, a_request()))
    gateway.unsent(send.frame.request_key, now_s=0.0)
    (again,) = sends(gateway.tick(now_s=0.0))
    assert (send.node_id, again.node_id) == (A, B)
    gateway.unsent(send.frame.request_key, now_s=0.0)
    assert gateway.tick(now_s=0.0) == [], "both were tried: now wait a little"
    assert sends(gateway.tick(now_s=1.0))


def test_what_was_at_a_lost_replica_goes_to_the_others_at_once() -> None:
    plan = a_plan(replicas=(2,))
    gateway = a_gateway(plan)
    sent = [send for i in range(4) for send in sends(submit(gateway, a_request(i)))]
    resent = sends(gateway.set_route(MODEL, a_route(plan, {B}), now_s=0.1))
    assert {one.frame.request_key for one in resent} == {
        one.frame.request_key for one in sent if one.node_id == A
    }
    assert {(one.node_id, one.frame.attempt) for one in resent} == {(B, 2)}
    assert gateway.counters.retried == 2
    (answer,) = answers(gateway.result(result_of(resent[0]), now_s=0.2))
    assert answer.attempts == 2


def test_all_under_way_goes_again_when_a_replica_behind_the_first_stage_is_lost() -> None:
    """Nobody but the stage before knows what was there."""
    plan = a_plan(replicas=(1, 2))
    gateway = a_gateway(plan)
    sent = [send for i in range(3) for send in sends(submit(gateway, a_request(i)))]
    resent = sends(gateway.set_route(MODEL, a_route(plan, {A}, {C}), now_s=0.1))
    assert [one.frame.request_key for one in resent] == [one.frame.request_key for one in sent]


def test_a_replica_that_comes_back_moves_nothing() -> None:
    plan = a_plan(replicas=(2,))
    gateway = a_gateway()
    gateway.set_route(MODEL, a_route(plan, {A}), now_s=0.0)
    assert {send.node_id for i in range(2) for send in sends(submit(gateway, a_request(i)))} == {A}
    assert gateway.set_route(MODEL, whole_route(plan), now_s=1.0) == []
    (send,) = sends(submit(gateway, a_request(9)))
    assert send.node_id == B


def test_a_check_keeps_to_its_way_and_does_not_count() -> None:
    plan = a_plan(replicas=(2, 2))
    gateway = a_gateway(plan)
    check = replace(a_request(pinned=plan), way=2)
    (send,) = sends(submit(gateway, check))
    assert (send.node_id, send.frame.way) == (B, 2)
    gateway.error(error_of(send), STALE, now_s=1.0)
    (again,) = sends(gateway.tick(now_s=3.0))
    assert (again.node_id, again.frame.way) == (B, 2)
    (ordinary,) = sends(submit(gateway, a_request(1)))
    assert ordinary.node_id == A


# Any sequence of events

PLANS = [
    *(a_plan(epoch, stages) for epoch, stages in ((1, 1), (2, 3), (3, 2))),
    a_plan(4, replicas=(3,)),
    a_plan(5, replicas=(2, 3)),
]


@st.composite
def routes(draw: st.DrawFn) -> Route | None:
    """Some plan, some of its replicas; or none."""
    plan = draw(st.sampled_from([None, *PLANS]))
    if plan is None:
        return None
    usable = [draw(st.sets(st.sampled_from(one.node_ids), min_size=1)) for one in plan.stages]
    return Route(plan=plan, usable=tuple(map(frozenset, usable)))


class AnyTraffic(RuleBasedStateMachine):
    """Whatever happens, each request has exactly one answer by its deadline."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.max_in_flight = 0
        self.gateway = Gateway(ME, max_queue=4, max_in_flight=0)
        self.open: dict[RequestKey, Request] = {}
        self.answered: set[RequestKey] = set()
        self.sent: list[Send] = []
        self.route: Route | None = None
        self.most_in_flight = 0

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Answer):
                assert action.key in self.open, "an answer that nobody waits for"
                assert (action.refusal is None) == bool(action.outputs)
                del self.open[action.key]
                self.answered.add(action.key)
            else:
                self.check_send(action)
                self.sent.append(action)

    def check_send(self, send: Send) -> None:
        request = self.open[send.frame.request_key]
        route = whole_route(request.pinned) if request.pinned is not None else self.route
        assert route is not None
        assert send.frame.plan_id == route.plan.plan_id
        assert send.node_id in route.usable[0]
        assert send.frame.time_left_s == pytest.approx(max(0.0, request.deadline_s - self.now_s))

    def some_sent(self, data: st.DataObject) -> Send:
        return data.draw(st.sampled_from(self.sent[-6:]))

    @rule(
        timeout_s=st.sampled_from([0.5, 3.0, 20.0]), pinned=st.sampled_from([None, None, PLANS[1]])
    )
    def submit(self, timeout_s: float, pinned: Plan | None) -> None:
        number = len(self.open) + len(self.answered)
        request = a_request(number, now_s=self.now_s, timeout_s=timeout_s, pinned=pinned)
        self.open[request.key] = request
        self.take(self.gateway.submit(request, now_s=self.now_s, no_plan_reason="none"))

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), content=st.sampled_from([b"out", b"out", b"damaged"]))
    def result(self, data: st.DataObject, content: bytes) -> None:
        frame = result_of(self.some_sent(data), content)
        actions = self.gateway.result(frame, now_s=self.now_s)
        expected = frame.request_key in self.open and content == b"out"
        assert [answer.key for answer in answers(actions)] == [frame.request_key] * expected
        self.take(actions)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), refusal=st.sampled_from([STALE, CRASHED, WRONG]))
    def error(self, data: st.DataObject, refusal: Refusal) -> None:
        frame = error_of(self.some_sent(data))
        self.take(self.gateway.error(frame, refusal, now_s=self.now_s))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def unsent(self, data: st.DataObject) -> None:
        self.gateway.unsent(self.some_sent(data).frame.request_key, now_s=self.now_s)

    @rule()
    def a_stranger(self) -> None:
        send = Send(
            node_id=A,
            frame=Frame(kind=FrameKind.RESULT, request_key=RequestKey(b"?" * 16), sender=ME),
        )
        before = self.gateway.counters.duplicates
        assert self.gateway.result(result_of(send), now_s=self.now_s) == []
        assert self.gateway.error(error_of(send), WRONG, now_s=self.now_s) == []
        assert self.gateway.counters.duplicates == before + 2

    @rule(route=routes())
    def set_route(self, route: Route | None) -> None:
        self.route = route
        self.take(self.gateway.set_route(MODEL, route, now_s=self.now_s))

    @rule()
    def end_plan(self) -> None:
        self.route = None
        self.take(self.gateway.end_plan(MODEL, now_s=self.now_s, reason="quarantined"))
        assert all(request.pinned is not None for request in self.open.values())

    @rule()
    def drop_model(self) -> None:
        self.route = None
        self.take(self.gateway.drop_model(MODEL, now_s=self.now_s, reason="removed"))
        assert not self.open

    @rule(wait_s=st.sampled_from([0.0, 0.02, 0.3, 3.0]))
    def tick(self, wait_s: float) -> None:
        self.now_s += wait_s
        self.take(self.gateway.tick(now_s=self.now_s))
        assert all(self.now_s < request.deadline_s for request in self.open.values())

    @precondition(lambda self: self.open)
    @rule()
    def tick_when_due(self) -> None:
        due_s = self.gateway.next_due_s()
        assert due_s is not None
        assert due_s <= min(request.deadline_s for request in self.open.values())
        if due_s > self.now_s:
            before_s = (self.now_s + due_s) / 2
            # Of two neighbouring numbers, the later one may be the middle.
            assert before_s == due_s or self.gateway.tick(now_s=before_s) == []
            self.now_s = due_s
        actions = self.gateway.tick(now_s=self.now_s)
        assert actions
        self.take(actions)

    @invariant()
    def every_open_request_waits_or_is_under_way(self) -> None:
        stats = {one.model_id: one for one in self.gateway.stats(now_s=self.now_s)}
        lane = stats.get(MODEL)
        in_flight = lane.in_flight if lane is not None else 0
        queued = lane.queued if lane is not None else 0
        assert in_flight >= 0
        assert in_flight + queued == sum(r.pinned is None for r in self.open.values())
        self.check_window(in_flight)

    def check_window(self, in_flight: int) -> None:
        window = WINDOW_PER_NODE * len(self.route.plan.node_ids) if self.route is not None else 0
        # A smaller plan may find more under way than it would send.
        assert in_flight <= max(window, self.most_in_flight)
        self.most_in_flight = in_flight

    def teardown(self) -> None:
        self.now_s = max([r.deadline_s for r in self.open.values()], default=self.now_s)
        self.take(self.gateway.tick(now_s=self.now_s))
        assert not self.open
        assert self.gateway.next_due_s() is None


def test_any_traffic_gives_one_answer_per_request_by_its_deadline() -> None:
    run_state_machine_as_test(
        AnyTraffic, settings=settings(max_examples=80, stateful_step_count=40)
    )
