import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from mesh.fleet.routes import Route, whole_route
from mesh.ids import Epoch, ModelId, NodeId, PlanId, RequestKey, SessionKey
from mesh.model.tensor import DataType, StageInterface, StatePair, TensorSpec
from mesh.pipeline import stage as stages
from mesh.pipeline.gateway import Gateway
from mesh.pipeline.replica_choice import Turns
from mesh.pipeline.request import Action, Answer, Request, Send
from mesh.pipeline.sessions import MAX_LOST, MAX_WAITING_STEPS, Sessions
from mesh.pipeline.stage import Parcel, Role, Work
from mesh.pipeline.stage_sessions import SessionLimits, SessionRoom, StageSessions
from mesh.pipeline.ways import node_on, nodes_on
from mesh.testing.documents import sample_stage
from mesh.wire import refusal
from mesh.wire.documents import Plan, PlanPhase
from mesh.wire.frame import Frame, FrameKind, FrameTensor, SessionStep
from mesh.wire.infer import SessionUse
from mesh.wire.topics import Lane

ME, A, B, C, D = (NodeId(digit * 16) for digit in "0abcd")
MODEL, OTHER_MODEL = ModelId("0" * 64), ModelId("1" * 64)
IDLE_S = 60.0
MAX_SESSIONS = 4
NODES = frozenset({A, B, C, D})


def spec(index: int, size: int) -> TensorSpec:
    return TensorSpec(index=index, name=f"t{index}", data_type=DataType.UINT8, shape=(size,))


X, HIDDEN, Y = spec(0, 1), spec(1, 1), spec(2, 2)
FIRST_STATE = StatePair(input=spec(3, 1), output=spec(4, 1))
LAST_STATE = StatePair(input=spec(5, 2), output=spec(6, 2))
INTERFACES = (
    StageInterface(
        received=(X,),
        consumed=(X, FIRST_STATE.input),
        produced=(HIDDEN, FIRST_STATE.output),
        sent=(HIDDEN,),
        state=(FIRST_STATE,),
    ),
    StageInterface(
        received=(HIDDEN,),
        consumed=(HIDDEN, LAST_STATE.input),
        produced=(Y, LAST_STATE.output),
        sent=(Y,),
        state=(LAST_STATE,),
    ),
)
LIMITS = SessionLimits(
    max_sessions=MAX_SESSIONS, max_interpreters=0, max_state_bytes=1 << 10, idle_s=IDLE_S
)


def compute(stage: int, x: bytes, state: bytes) -> tuple[bytes, bytes]:
    """(what goes on, the state after it): both depend on all inputs so far, and on their order."""
    if stage == 0:
        after = bytes([(3 * state[0] + x[0] + 1) % 251])
        return bytes([(after[0] ^ x[0]) % 256]), after
    after = bytes([(5 * state[0] + x[0] + 1) % 251, (state[1] + 1) % 256])
    return after, after


def whole(inputs: Iterable[bytes]) -> bytes:
    """What the last of the inputs gives in a session of them all."""
    states, y = [bytes(1), bytes(2)], b""
    for x in inputs:
        y = x
        for stage in (0, 1):
            y, states[stage] = compute(stage, y, states[stage])
    return y


def a_plan(epoch: int = 1, nodes: tuple[NodeId | tuple[NodeId, ...], ...] = (A, B)) -> Plan:
    """Two stages, each on one node or on several."""
    return Plan(
        plan_id=PlanId(f"{epoch:016x}"),
        epoch=Epoch(epoch),
        model_id=MODEL,
        phase=PlanPhase.LIVE,
        stages=tuple(
            sample_stage(*((node,) if isinstance(node, str) else node), start=i, stop=i + 1)
            for i, node in enumerate(nodes)
        ),
        bottleneck_s=0.01,
        bottleneck="",
        latency_s=0.1,
        single_node=None,
        single_node_s=None,
        verdict="",
    )


@dataclass(slots=True)
class World:
    """A gateway with its sessions, and the stages of its plans; what is sent lies in `under_way`."""

    plan: Plan | None = field(default_factory=a_plan)
    max_in_flight: int = 8
    now_s: float = 0.0
    gateway: Gateway = field(init=False)
    sessions: Sessions = field(init=False)
    under_way: list[Parcel] = field(default_factory=list)
    answers: dict[int, Answer] = field(default_factory=dict)
    sent: list[Send] = field(default_factory=list)
    computed: "Counter[tuple[SessionKey, int, int]]" = field(default_factory=Counter)
    ended: list[StageSessions] = field(default_factory=list)
    held: dict[tuple[PlanId, int, NodeId], tuple[Role, StageSessions]] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.gateway = Gateway(ME, max_queue=8, max_in_flight=self.max_in_flight)
        self.sessions = Sessions(self.gateway, me=ME, max_sessions=MAX_SESSIONS, idle_s=IDLE_S)
        if self.plan is not None:
            self.set_plan(self.plan)

    def set_plan(self, plan: Plan | None) -> None:
        for stage, planned in enumerate(plan.stages if plan is not None else ()):
            assert plan is not None
            for i, node in enumerate(planned.node_ids):
                role = Role(plan=plan, stage=stage, interface=INTERFACES[stage], replica=i)
                fresh = StageSessions(INTERFACES[stage], SessionRoom(LIMITS))
                self.held.setdefault((plan.plan_id, stage, node), (role, fresh))
        self.plan = plan
        self.do(
            self.gateway.set_route(MODEL, whole_route(plan) if plan else None, now_s=self.now_s)
        )

    def pass_by(self, stage: int, replica: int) -> None:
        """One replica cannot take requests, where the stage has another one."""
        assert self.plan is not None
        nodes = self.plan.stages[stage].node_ids
        usable = [frozenset(one.node_ids) for one in self.plan.stages]
        usable[stage] = usable[stage] - {nodes[replica % len(nodes)]} or usable[stage]
        route = Route(plan=self.plan, usable=tuple(usable))
        self.do(self.gateway.set_route(MODEL, route, now_s=self.now_s))

    def ask(
        self,
        name: str,
        x: int | None = 0,
        *,
        starts: bool = False,
        ends: bool = False,
        timeout_s: float = 30.0,
        model_id: ModelId = MODEL,
    ) -> int:
        """Ask, and return the number by which the answer is found; `x` None only ends."""
        number = next(self.numbers)
        request = Request(
            key=RequestKey(number.to_bytes(16, "little")),
            model_id=model_id,
            tensors=() if x is None else (FrameTensor(index=X.index, data=bytes([x])),),
            outputs=(Y,),
            arrived_s=self.now_s,
            deadline_s=self.now_s + timeout_s,
        )
        use = SessionUse(name=name, starts=starts, ends=ends)
        self.do(
            self.sessions.submit(request, use, now_s=self.now_s, no_plan_reason="not planned yet")
        )
        return number

    def do(self, actions: Iterable[Action]) -> None:
        for action in self.sessions.settle(actions, now_s=self.now_s):
            if isinstance(action, Send):
                self.sent.append(action)
                self.under_way.append(
                    Parcel(node_id=action.node_id, lane=Lane.STAGE, frame=action.frame)
                )
            else:
                number = int.from_bytes(action.key, "little")
                assert number not in self.answers, "a second answer"
                self.answers[number] = action

    def deliver(self, parcel: Parcel) -> None:
        self.under_way.remove(parcel)
        if parcel.lane is Lane.RESULT:
            self.arrive(parcel.frame)
            return
        role, kept = self.held.get(
            (parcel.frame.plan_id, parcel.frame.stage, parcel.node_id), (None, None)
        )
        step = parcel.frame.step
        if parcel.frame.kind is FrameKind.DROP:
            if kept is not None and step is not None:
                kept.drop(step.key)
            return
        outcome = stages.accept(role, parcel.frame, queued=0, now_s=self.now_s, sessions=kept)
        if isinstance(outcome, Work) and kept is not None:
            outcome = self.run(outcome, kept)
        assert isinstance(outcome, Parcel)
        self.under_way.append(outcome)

    def run(self, work: Work, kept: StageSessions) -> Parcel:
        assert work.frame.step is not None
        self.computed[work.frame.step.key, work.frame.step.number, id(kept)] += 1
        x, state = (bytes(data) for data in work.inputs)
        outputs = compute(work.role.stage, x, state)
        kept.done(work.frame.step, stages.state_after(work, outputs), now_s=self.now_s)
        route = whole_route(work.role.plan)
        return stages.forward(
            work,
            outputs,
            compute_s=0.0,
            now_s=self.now_s,
            receivers=stages.next_receivers(work.role, work.frame, route, Turns()),
        )

    def arrive(self, frame: Frame) -> None:
        if frame.kind is FrameKind.RESULT:
            self.do(self.gateway.result(frame, now_s=self.now_s))
        else:
            told = refusal.decode(frame.error)
            self.do(self.gateway.error(frame, told, now_s=self.now_s))

    def deliver_all(self) -> None:
        while self.under_way:
            self.deliver(self.under_way[0])

    def keep(self, *gone: NodeId, reborn: Iterable[NodeId] = ()) -> None:
        self.do(
            self.sessions.keep(
                present=NODES.difference(gone), reborn=frozenset(reborn), now_s=self.now_s
            )
        )

    def tick(self) -> None:
        self.do(self.gateway.tick(now_s=self.now_s))
        self.do(self.sessions.tick(now_s=self.now_s))

    def output(self, number: int) -> bytes:
        answer = self.answers[number]
        assert answer.refusal is None, answer.refusal
        (y,) = answer.outputs
        return bytes(y)

    def code(self, number: int) -> str:
        """Of its refusal; empty when it has none."""
        told = self.answers[number].refusal
        return "" if told is None else told.code

    def stage_sessions(self) -> list[int]:
        return [len(kept) for _, kept in self.held.values()]


def test_each_step_goes_on_where_the_one_before_ended() -> None:
    world = World()
    xs = [7, 1, 200, 7]
    numbers = [world.ask("s", x, starts=i == 0) for i, x in enumerate(xs)]
    world.deliver_all()
    expected = [whole(bytes([x]) for x in xs[: i + 1]) for i in range(len(xs))]
    assert [world.output(number) for number in numbers] == expected
    assert len(set(expected)) == len(xs)
    assert world.sessions.open_of(MODEL) == 1


def test_a_step_waits_for_the_one_before() -> None:
    world = World()
    world.ask("s", starts=True)
    world.ask("s")
    assert [send.frame.kind for send in world.sent] == [FrameKind.STEP]
    world.deliver_all()
    steps = [send.frame.step for send in world.sent]
    assert [step.number for step in steps if step is not None] == [0, 1]


def test_two_sessions_do_not_mix_and_do_not_wait_for_each_other() -> None:
    world = World()
    one, other = world.ask("a", 3, starts=True), world.ask("b", 9, starts=True)
    assert len(world.under_way) == 2
    one, other = world.ask("a", 4), world.ask("b", 8)
    world.deliver_all()
    assert world.output(one) == whole([b"\3", b"\4"])
    assert world.output(other) == whole([b"\t", b"\b"])


def test_a_request_of_an_unknown_session_is_an_error() -> None:
    world = World()
    assert world.code(world.ask("s")) == "UNKNOWN_SESSION"
    assert world.sent == []


def test_a_session_of_one_model_is_none_of_another() -> None:
    world = World()
    world.ask("s", starts=True)
    assert world.code(world.ask("s", model_id=OTHER_MODEL)) == "UNKNOWN_SESSION"


def test_the_last_step_closes_it_everywhere() -> None:
    world = World()
    last = world.ask("s", 5, starts=True, ends=True)
    world.deliver_all()
    assert world.output(last) == whole([b"\5"])
    assert world.stage_sessions() == [0, 0]
    assert world.sessions.open_of(MODEL) == 0
    assert world.code(world.ask("s")) == "UNKNOWN_SESSION"


def test_an_end_without_inputs_waits_its_turn_and_computes_nothing() -> None:
    world = World()
    step = world.ask("s", 5, starts=True)
    end = world.ask("s", None, ends=True)
    assert end not in world.answers
    world.deliver_all()
    assert world.output(step) == whole([b"\5"])
    assert world.answers[end].outputs == ()
    assert world.code(end) == ""
    assert world.stage_sessions() == [0, 0]


def test_a_start_begins_anew_and_what_was_taken_before_is_still_answered() -> None:
    world = World()
    before = [world.ask("s", 1, starts=True), world.ask("s", 2)]
    anew = world.ask("s", 2, starts=True)
    world.deliver_all()
    assert [world.output(number) for number in before] == [whole([b"\1"]), whole([b"\1", b"\2"])]
    assert world.output(anew) == whole([b"\2"])
    assert world.stage_sessions() == [1, 1]
    last = world.ask("s", 3)
    world.deliver_all()
    assert world.output(last) == whole([b"\2", b"\3"])


def test_a_session_stays_with_its_plan_when_another_goes_live() -> None:
    world = World()
    world.ask("old", 1, starts=True)
    world.deliver_all()
    world.set_plan(a_plan(2, (B, C)))
    old, new = world.ask("old", 2), world.ask("new", 2, starts=True)
    assert {(send.node_id, send.frame.epoch) for send in world.sent[-2:]} == {(A, 1), (B, 2)}
    world.deliver_all()
    assert world.output(old) == whole([b"\1", b"\2"])
    assert world.output(new) == whole([b"\2"])


def test_a_first_step_waits_for_a_plan_whose_node_is_missing() -> None:
    world = World()
    world.set_plan(None)
    number = world.ask("s", 1, starts=True)
    world.keep(A)
    assert world.sent == []
    world.set_plan(a_plan(2, (B, C)))
    world.deliver_all()
    assert world.output(number) == whole([b"\1"])


def test_without_any_plan_it_does_not_begin() -> None:
    world = World(plan=None)
    assert world.code(world.ask("s", starts=True)) == "NO_PLAN"
    assert world.code(world.ask("s")) == "SESSION_LOST"


@pytest.mark.parametrize("reborn", [False, True])
def test_a_node_that_is_lost_or_restarted_loses_its_sessions(reborn: bool) -> None:
    world = World()
    world.ask("s", 1, starts=True)
    world.deliver_all()
    under_way, waiting = world.ask("s", 2), world.ask("s", 3)
    if reborn:
        world.keep(reborn=[B])
    else:
        world.keep(B)
    later = world.ask("s", 4)
    assert [world.code(n) for n in (under_way, waiting, later)] == ["SESSION_LOST"] * 3
    told = world.answers[later].refusal
    assert told is not None
    assert not told.retryable
    assert B in told.message
    assert "session_start" in told.message
    anew = world.ask("s", 1, starts=True)
    world.deliver_all()
    assert world.output(anew) == whole([b"\1"])


def test_a_node_that_holds_nothing_of_it_may_go() -> None:
    world = World()
    world.ask("s", 1, starts=True)
    world.deliver_all()
    world.keep(C, reborn=[C])
    assert world.sessions.open_of(MODEL) == 1


TWICE = a_plan(7, ((A, B), (C, D)))


def test_all_steps_of_a_session_pass_the_same_replicas() -> None:
    world = World(plan=TWICE)
    for name in "ab":
        world.ask(name, 1, starts=True)
        world.deliver_all()
    for step in range(4):
        for name in "ab":
            number = world.ask(name, step)
            world.deliver_all()
            assert world.answers[number].refusal is None
    nodes = {(send.frame.step.key, send.node_id) for send in world.sent if send.frame.step}
    assert len(nodes) == 2
    assert world.stage_sessions() == [1, 1, 1, 1], "each replica has one of the two"


def test_a_session_outlives_the_replicas_that_it_does_not_pass() -> None:
    world = World(plan=TWICE)
    number = world.ask("s", 1, starts=True)
    world.deliver_all()
    (way,) = {send.frame.way for send in world.sent}
    passed = set(nodes_on(TWICE, way))
    world.keep(*({A, B, C, D} - passed), reborn={A, B, C, D} - passed)
    assert world.sessions.open_of(MODEL) == 1
    world.keep(min(passed))
    assert world.sessions.open_of(MODEL) == 0
    assert {p.node_id for p in world.under_way} == passed, "both are told to forget it"
    assert world.answers[number].refusal is None


def test_a_session_begins_where_the_replicas_can_take_it() -> None:
    world = World(plan=TWICE)
    world.pass_by(0, 0)
    for name in "abc":
        world.ask(name, starts=True)
    assert {send.node_id for send in world.sent} == {B}
    assert {node_on(TWICE.stages[1], send.frame.way) for send in world.sent} == {D}


def test_a_session_that_finds_no_way_of_usable_replicas_waits_for_one() -> None:
    world = World(plan=TWICE)
    route = Route(plan=TWICE, usable=(frozenset({A}), frozenset({D})))
    world.do(world.gateway.set_route(MODEL, route, now_s=0.0))
    number = world.ask("s", 1, starts=True)
    assert world.sent == []
    world.set_plan(a_plan(8))
    world.deliver_all()
    assert world.output(number) == whole([b"\1"])


LOSSES: dict[str, Callable[[World], None]] = {
    "the frame is lost": lambda world: world.under_way.clear(),
    "the stage was let go": lambda world: world.held.clear(),
    "its state is gone": lambda world: world.held[a_plan().plan_id, 1, B][1].clear(),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_lost_step_loses_the_session_and_is_not_sent_again(loss: Callable[[World], None]) -> None:
    world = World()
    world.ask("s", 1, starts=True)
    world.deliver_all()
    number = world.ask("s", 2)
    loss(world)
    world.deliver_all()
    world.now_s = 31.0
    world.tick()
    world.deliver_all()
    assert world.code(number) == "SESSION_LOST"
    assert world.code(world.ask("s", 3)) == "SESSION_LOST"
    assert max(world.computed.values()) == 1
    steps = [send for send in world.sent if send.frame.kind is FrameKind.STEP]
    assert len(steps) == 2
    drops = [send for send in world.sent if send.frame.kind is FrameKind.DROP]
    assert [(send.node_id, send.frame.stage) for send in drops] == [(A, 0), (B, 1)]


def test_a_step_that_cannot_be_sent_loses_the_session() -> None:
    world = World()
    world.ask("s", 1, starts=True)
    world.deliver_all()
    number = world.ask("s", 2)
    world.do(world.gateway.unsent(world.sent[-1].frame.request_key, now_s=0.0))
    assert world.code(number) == "SESSION_LOST"


def test_a_request_that_waited_until_its_deadline_loses_the_session() -> None:
    """Those behind it would be computed on another state than meant."""
    world = World()
    first = world.ask("s", 1, starts=True, timeout_s=100.0)
    second, third = world.ask("s", 2, timeout_s=1.0), world.ask("s", 3)
    world.now_s = 1.0
    world.tick()
    assert [world.code(n) for n in (first, second, third)] == ["SESSION_LOST"] * 3


def test_a_stage_that_is_full_refuses_the_first_step_and_may_be_asked_again() -> None:
    world = World()
    for kept in world.held.values():
        for number in range(MAX_SESSIONS):
            key = SessionKey(bytes([255, number]) * 8)
            kept[1].take(SessionStep(key=key, number=0), now_s=0.0)
    refused = world.ask("s", 1, starts=True)
    world.deliver_all()
    told = world.answers[refused].refusal
    assert told is not None
    assert (told.code, told.retryable) == ("OVERLOADED", True)
    for kept in world.held.values():
        kept[1].clear()
    again = world.ask("s", 1, starts=True)
    world.deliver_all()
    assert world.output(again) == whole([b"\1"])


def test_a_gateway_opens_so_many_sessions_and_no_more() -> None:
    world = World()
    for number in range(MAX_SESSIONS):
        world.ask(f"s{number}", starts=True)
    world.deliver_all()
    assert world.code(world.ask("one more", starts=True)) == "OVERLOADED"
    world.ask("s0", None, ends=True)
    again, anew = world.ask("one more", starts=True), world.ask("s1", starts=True)
    world.deliver_all()
    assert [world.code(number) for number in (again, anew)] == ["", ""]


def test_only_so_many_requests_wait_and_one_too_many_is_not_taken() -> None:
    world = World()
    numbers = [world.ask("s", 1, starts=True)]
    numbers += [world.ask("s", 1) for _ in range(MAX_WAITING_STEPS)]
    refused = world.ask("s", 99)
    assert world.code(refused) == "OVERLOADED"
    world.deliver_all()
    assert world.output(numbers[-1]) == whole([b"\1"] * len(numbers))


def test_a_silent_session_is_dropped_everywhere() -> None:
    world = World()
    world.ask("s", starts=True)
    world.deliver_all()
    world.now_s = IDLE_S - 0.1
    world.keep()
    assert world.sessions.open_of(MODEL) == 1
    world.now_s = IDLE_S
    world.keep()
    world.deliver_all()
    assert world.stage_sessions() == [0, 0]
    assert world.code(world.ask("s")) == "SESSION_LOST"


def test_a_long_step_is_no_silence() -> None:
    world = World()
    number = world.ask("s", 1, starts=True, timeout_s=1000.0)
    world.now_s = 2 * IDLE_S
    world.keep()
    world.deliver_all()
    assert world.output(number) == whole([b"\1"])


def test_sessions_of_a_removed_model_are_lost() -> None:
    world = World()
    world.ask("s", starts=True)
    world.deliver_all()
    world.do(world.sessions.drop_model(MODEL, now_s=0.0, reason="the model was removed"))
    assert world.code(world.ask("s")) == "SESSION_LOST"


def test_a_session_whose_answer_was_lost_is_lost_and_no_other_of_its_name() -> None:
    world = World()
    keys = []
    for _ in range(2):
        first = world.ask("s", starts=True)
        world.deliver_all()
        keys.append(world.answers[first].session)
    old, new = keys
    assert old is not None
    assert new is not None
    world.do(world.sessions.lose(old, "its answer was too large", now_s=0.0))
    number = world.ask("s")
    world.deliver_all()
    assert world.answers[number].refusal is None
    world.do(world.sessions.lose(new, "its answer was too large", now_s=0.0))
    assert world.code(world.ask("s")) == "SESSION_LOST"


def test_lost_sessions_are_not_remembered_for_ever() -> None:
    world = World(plan=None)
    for number in range(MAX_LOST + 1):
        world.ask(f"s{number}", starts=True)
    assert world.code(world.ask("s0")) == "UNKNOWN_SESSION"
    assert world.code(world.ask("s1")) == "SESSION_LOST"


LAYOUTS: list[tuple[NodeId | tuple[NodeId, ...], ...]] = [
    (A, B),
    (B, C),
    ((A, B), C),
    (A, (B, C)),
    ((A, B), (C, D)),
]


class Traffic(RuleBasedStateMachine):
    """Clients, stages that are let go and come back, frames that are lost, doubled and overtaken."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(max_in_flight=3)
        self.epoch = 1
        self.history: dict[str, list[bytes]] = {}
        self.expected: dict[int, bytes | None] = {}

    @rule(name=st.sampled_from("ab"), x=st.integers(0, 255), mark=st.sampled_from(["", "s", "e"]))
    def ask(self, name: str, x: int, mark: str) -> None:
        number = self.world.ask(name, x, starts=mark == "s", ends=mark == "e", timeout_s=5.0)
        if number in self.world.answers and self.world.code(number) in {
            "UNKNOWN_SESSION",
            "OVERLOADED",
        }:
            return
        if mark == "s":
            self.history[name] = []
        self.history.setdefault(name, []).append(bytes([x]))
        self.expected[number] = whole(self.history[name])

    @rule(name=st.sampled_from("ab"))
    def end(self, name: str) -> None:
        self.expected[self.world.ask(name, None, ends=True, timeout_s=5.0)] = None

    @rule(choice=st.integers(0, 50))
    def deliver(self, choice: int) -> None:
        if self.world.under_way:
            self.world.deliver(self.world.under_way[choice % len(self.world.under_way)])

    @rule()
    def deliver_all(self) -> None:
        self.world.deliver_all()

    @rule(choice=st.integers(0, 50))
    def lose(self, choice: int) -> None:
        if self.world.under_way:
            del self.world.under_way[choice % len(self.world.under_way)]

    @rule(choice=st.integers(0, 50))
    def double(self, choice: int) -> None:
        if self.world.under_way:
            self.world.under_way.append(self.world.under_way[choice % len(self.world.under_way)])

    @rule(stage=st.integers(0, 1), replica=st.integers(0, 1))
    def restart(self, stage: int, replica: int) -> None:
        plan = self.world.plan
        if plan is not None:
            nodes = plan.stages[stage].node_ids
            _, ended = self.world.held.pop((plan.plan_id, stage, nodes[replica % len(nodes)]))
            self.world.ended.append(ended)
            self.world.set_plan(plan)

    @rule(stage=st.integers(0, 1), replica=st.integers(0, 1))
    def pass_by(self, stage: int, replica: int) -> None:
        """A replica cannot take requests, whatever it holds."""
        if self.world.plan is not None:
            self.world.pass_by(stage, replica)

    @rule()
    def plan_anew(self) -> None:
        self.epoch += 1
        self.world.set_plan(a_plan(self.epoch, LAYOUTS[self.epoch % len(LAYOUTS)]))

    @rule()
    def interrupt(self) -> None:
        self.world.set_plan(None)

    @rule(gone=st.sampled_from([A, B, C, D]))
    def lose_node(self, gone: NodeId) -> None:
        self.world.keep(gone)

    @rule(passed_s=st.sampled_from([0.1, 4.0, IDLE_S]))
    def wait(self, passed_s: float) -> None:
        self.world.now_s += passed_s
        self.world.tick()
        self.world.keep()

    @invariant()
    def nothing_is_computed_twice(self) -> None:
        """… in one life of a stage: a copy of a first step may come to the next one."""
        assert all(times == 1 for times in self.world.computed.values())

    @invariant()
    def every_answer_is_the_wholes(self) -> None:
        for number, answer in self.world.answers.items():
            if answer.refusal is None and self.expected.get(number) is not None:
                assert self.world.output(number) == self.expected[number]

    @invariant()
    def sessions_are_bounded(self) -> None:
        assert self.world.sessions.open_of(MODEL) <= 2 * MAX_SESSIONS

    def teardown(self) -> None:
        self.world.now_s += 100.0
        self.world.tick()
        unanswered = set(self.expected) - set(self.world.answers)
        assert not unanswered
        self.world.now_s += IDLE_S
        self.world.keep()
        assert self.world.sessions.open_of(MODEL) == 0


def test_in_any_traffic_an_answer_is_right_or_an_error() -> None:
    run_state_machine_as_test(
        Traffic, settings=settings(max_examples=150, stateful_step_count=40, deadline=None)
    )
