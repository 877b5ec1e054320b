"""One node's control flow over a real roster, publisher, probes and stages, with a fake runtime."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mesh.config import Config
from mesh.fleet import bars, coordinator
from mesh.fleet.answering import answer
from mesh.fleet.link_watch import Traffic
from mesh.fleet.plans import ModelFacts
from mesh.fleet.routes import Route, whole_route
from mesh.fleet.track import Found, Solve
from mesh.ids import BootId, Epoch, ModelId, NodeId, PlanId, RequestKey, SessionKey
from mesh.node import control, revival
from mesh.node.control import Control, GoldenOutcome, Hooks
from mesh.node.held_stage import ModelFile
from mesh.node.jobs import Jobs
from mesh.node.loop import Loop
from mesh.node.message_cost import MessageCost, Surroundings
from mesh.node.probes import Probes
from mesh.node.publisher import Publisher
from mesh.node.roster import Roster, RosterHooks
from mesh.node.stages import Stages
from mesh.pipeline.stage_sessions import SessionLimits
from mesh.planning.pieces import Pieces, pieces_of
from mesh.planning.wishes import Wishes
from mesh.testing.documents import sample_stage
from mesh.testing.runtime import FakeRuntime
from mesh.transport.port import Message
from mesh.wire import codec
from mesh.wire.beliefs import NodePace
from mesh.wire.documents import (
    Advert,
    Heartbeat,
    HoldingsDocument,
    NodeState,
    Plan,
    PlanPhase,
    PlansDocument,
    StagesDocument,
    StageState,
    StageStatus,
)
from mesh.wire.frame import Frame, FrameKind, FrameTensor, SessionStep
from mesh.wire.measured import CapabilityDocument
from mesh.wire.topics import Fact, FactTopic, TopicSpace

RunUntil = Callable[[Loop, Callable[[], bool]], None]
ME, OTHER = NodeId("5" * 16), NodeId("a" * 16)
URL = "mqtt://other:1883"
MODEL = ModelId("0" * 64)
BEAT = Heartbeat(boot_id=BootId("0" * 8), sequence=1, state=NodeState.READY)


def advert(node_id: NodeId) -> Advert:
    return Advert(
        node_id=node_id,
        boot_id=BootId("0" * 8),
        name=node_id[:1],
        mesh_name="default",
        version="0",
        board="",
        board_label="",
        runtime="fake",
        runtime_version="1",
        kernel_class="k",
        broker_url=URL,
        broker_kind="memory",
        http_url="http://a:80",
        host_id="",
        host_cores=1,
        threads=1,
        memory_bytes=1 << 30,
    )


def _nothing(*_args: object) -> None:
    pass


class Bench:
    """Everything that the control flow decides, recorded."""

    def __init__(self, file: ModelFile, run_until: RunUntil, slices: Path) -> None:
        self.loop, self.file, self._run_until = Loop(), file, run_until
        self.routed: list[PlanPhase | None] = []
        self.routes: list[Route | None] = []
        self.ended: list[str] = []
        self.dropped: list[ModelId] = []
        self.checked: list[Plan] = []
        self.golden: GoldenOutcome = (None, False)
        self.served = frozenset({MODEL})
        self.kept: list[tuple[frozenset[NodeId], frozenset[NodeId]]] = []
        self.is_read = True
        self.pieces = pieces_of(file.model, max_boundary_bytes=1 << 20)
        self.runtime = FakeRuntime()
        self.stages = Stages(
            self.loop,
            self.runtime,
            slices,
            me=ME,
            threads_of=lambda _model_id: 1,
            emit=_nothing,
            on_change=self.review_soon,
            session_limits=SessionLimits.of(Config()),
        )
        self.stages.clean()
        self.roster = Roster(
            self.loop,
            me=ME,
            mesh_name="default",
            silence_s=1000.0,
            seeds=(),
            hooks=RosterHooks(
                open_peer=_nothing,
                close_peer=_nothing,
                catalogue=_nothing,
                own_word=lambda _topic, _payload: None,
                changed=self.review_soon,
            ),
        )
        self.planner = Jobs("plan", self.loop.post)
        self.publisher = Publisher(
            TopicSpace("mesh/1"), me=ME, publish=_accept, learn=self.roster.learn_own
        )
        idle = Surroundings(send=_nothing, processor_s=lambda: 0.0, carried=lambda: 0)
        self.control = Control(
            self.loop,
            self.roster,
            me=ME,
            publisher=self.publisher,
            stages=self.stages,
            probes=Probes(
                self.loop,
                me=ME,
                send=_nothing,
                sent=lambda _peer: Traffic(),
                on_change=_nothing,
                cost=MessageCost(self.loop, idle, me=ME, on_change=_nothing),
            ),
            planner=self.planner,
            hooks=Hooks(
                set_route=self._set_route,
                end_plan=lambda _model, reason: self.ended.append(reason),
                keep_sessions=lambda present, reborn: self.kept.append((present, reborn)),
                drop_model=self.dropped.append,
                check_golden=self._check,
                served=lambda: self.served,
                plannable=self._plannable,
                model_file=lambda _model: self.file if self.is_read else None,
                keep_models=_nothing,
            ),
        )

    def close(self) -> None:
        self.stages.close()
        self.planner.close()

    def review_soon(self) -> None:
        self.control.review_soon()

    def until(self, is_done: Callable[[], bool]) -> None:
        self._run_until(self.loop, is_done)

    def begin(self) -> None:
        """This node is ready and has measured the model."""
        self.roster.state = NodeState.READY
        self.publisher.say(Fact.ADVERT, advert(ME))
        self.publisher.say(Fact.HOLDINGS, HoldingsDocument(held=(MODEL,)))
        self.publisher.say(Fact.CAPABILITY, self.capability(), model_id=MODEL)
        self.loop.post(self.review_soon)

    def capability(self) -> CapabilityDocument:
        return CapabilityDocument(
            model_id=MODEL,
            kernel_class="k",
            threads=1,
            boundaries=self.pieces.boundaries,
            layer_s=(0.001,) * (len(self.pieces.boundaries) - 1),
            stage_s=0.0,
        )

    def live(self) -> Plan | None:
        plan = self.control.adopted.get(MODEL)
        return plan if plan is not None and plan.phase is PlanPhase.LIVE else None

    def plans(self) -> PlansDocument:
        said = self.roster.view[ME].plans
        assert said is not None
        return said

    def hear(self, fact: Fact, document: object, *, model_id: ModelId | None = None) -> None:
        topic = FactTopic(node_id=OTHER, fact=fact, model_id=model_id)
        self.roster.fact(URL, topic, codec.encode(document))

    def _plannable(self) -> dict[ModelId, ModelFacts]:
        facts = ModelFacts(model_id=MODEL, name="tiny", wishes=Wishes(), pieces=self.pieces)
        return {MODEL: facts} if self.served else {}

    def _set_route(self, _model: ModelId, route: Route | None) -> None:
        self.routes.append(route)
        self.routed.append(route.plan.phase if route is not None else None)

    def _check(self, plan: Plan, on_outcome: Callable[[GoldenOutcome], None]) -> None:
        self.checked.append(plan)
        on_outcome(self.golden)


def _accept(_message: Message) -> bool:
    return True


@pytest.fixture
def bench(model_file: ModelFile, run_until: RunUntil, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(model_file, run_until, tmp_path / "slices")
    yield made
    made.close()


def test_a_node_alone_takes_the_lease_plans_loads_checks_and_goes_live(bench: Bench) -> None:
    bench.begin()
    bench.until(lambda: bench.live() is not None and bool(bench.routed))
    assert bench.control.is_coordinator
    assert bench.control.lease.term == 1
    assert [plan.phase for plan in bench.checked] == [PlanPhase.PREPARING]
    assert bench.routed == [PlanPhase.LIVE]
    assert bench.control.is_routed(MODEL)
    (stage,) = bench.stages.document().stages
    assert stage.state is StageState.READY
    assert bench.plans().plans == (bench.live(),)


def test_a_node_that_is_not_ready_takes_no_lease(bench: Bench) -> None:
    bench.review_soon()
    bench.until(lambda: ME in bench.roster.view)
    assert not bench.control.is_coordinator
    assert bench.plans().plans == ()


def test_a_plan_with_wrong_numbers_does_not_go_live_and_the_reason_is_told(bench: Bench) -> None:
    bench.golden = ("other numbers", False)
    bench.begin()
    bench.until(lambda: bench.control.problem_of(MODEL) is not None)
    assert bench.live() is None
    assert bench.routed == []
    assert "other numbers" in bench.control.no_plan_reason(MODEL, "tiny")
    bench.until(lambda: bench.stages.document().stages == ())


def test_without_a_reason_the_mesh_is_getting_ready(bench: Bench) -> None:
    assert "getting it ready" in bench.control.no_plan_reason(MODEL, "tiny")


def test_a_model_that_is_removed_is_let_go(bench: Bench) -> None:
    bench.begin()
    bench.until(lambda: bench.live() is not None)
    bench.served = frozenset()
    bench.loop.post(bench.review_soon)
    bench.until(lambda: bench.dropped == [MODEL])
    assert not bench.control.is_routed(MODEL)
    assert bench.plans().plans == ()


def test_a_better_lease_is_followed_and_the_live_plan_stays(bench: Bench) -> None:
    bench.begin()
    bench.until(lambda: bench.live() is not None)
    bench.roster.found(OTHER, URL, own_word=True)
    beat = Heartbeat(
        boot_id=BootId("0" * 8),
        sequence=1,
        state=NodeState.READY,
        lease_term=9,
        lease_holder=OTHER,
    )
    bench.hear(Fact.HEARTBEAT, beat)
    bench.until(lambda: not bench.control.is_coordinator)
    assert bench.control.lease.holder == OTHER
    assert bench.live() is not None
    assert bench.plans().problems == ()


def test_an_answer_to_a_question_of_an_earlier_lease_is_not_taken(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_answer, asked = threading.Event(), 0

    def late(question: Solve, pieces: Pieces) -> Found | str:
        nonlocal asked
        asked += 1
        if asked > 1:
            return answer(question, pieces)
        may_answer.wait(10.0)
        return "of facts that are long gone"

    monkeypatch.setattr(control, "answer", late)
    bench.begin()
    bench.until(lambda: asked == 1)
    bench.roster.found(OTHER, URL, own_word=True)
    bench.hear(Fact.HEARTBEAT, replace(BEAT, lease_term=9, lease_holder=OTHER))
    bench.until(lambda: not bench.control.is_coordinator)
    bench.hear(Fact.HEARTBEAT, replace(BEAT, state=NodeState.STOPPED))
    bench.until(lambda: bench.control.lease.term == 10)
    may_answer.set()
    problem = bench.control.problem_of
    bench.until(lambda: bench.live() is not None or problem(MODEL) is not None)
    assert problem(MODEL) is None
    assert asked == 2


def test_a_newer_live_plan_of_another_node_is_adopted(bench: Bench) -> None:
    bench.begin()
    bench.until(lambda: bench.live() is not None)
    live = bench.live()
    assert live is not None
    bench.roster.found(OTHER, URL, own_word=True)
    bench.hear(Fact.HEARTBEAT, BEAT)
    newer = codec.from_plain(Plan, codec.to_plain(live) | {"epoch": 7, "plan_id": "f" * 16})
    bench.hear(Fact.PLANS, PlansDocument(lease_term=1, plans=(newer,)))
    bench.until(lambda: bench.live() == newer)
    bench.until(lambda: bench.routed[-1] is PlanPhase.LIVE and len(bench.routed) == 2)
    held = {status.plan_id for status in bench.stages.document().stages}
    assert held == {live.plan_id, newer.plan_id}, "the old stages stay for frames under way"


def test_a_plan_whose_node_is_gone_carries_no_requests(bench: Bench) -> None:
    bench.begin()
    bench.until(lambda: bench.live() is not None)
    live = bench.live()
    assert live is not None
    bench.roster.found(OTHER, URL, own_word=True)
    bench.hear(Fact.HEARTBEAT, BEAT)
    elsewhere = codec.to_plain(live) | {"epoch": 7, "plan_id": "f" * 16}
    for stage in elsewhere["stages"]:
        stage["replicas"][0]["node_id"] = OTHER
    theirs = codec.from_plain(Plan, elsewhere)
    bench.hear(Fact.PLANS, PlansDocument(lease_term=1, plans=(theirs,)))
    bench.until(lambda: bench.live() == theirs)
    stopped = Heartbeat(boot_id=BootId("0" * 8), sequence=2, state=NodeState.STOPPED)
    bench.hear(Fact.HEARTBEAT, stopped)
    bench.until(lambda: bench.routed[-1] is None)
    bench.until(lambda: (plan := bench.live()) is not None and plan.epoch == 8)
    bench.until(lambda: bench.control.is_routed(MODEL))


def test_a_replica_that_goes_is_passed_by_and_the_others_serve_on(bench: Bench) -> None:
    bench.begin()
    bench.until(lambda: bench.live() is not None)
    live = bench.live()
    assert live is not None
    bench.roster.found(OTHER, URL, own_word=True)
    bench.hear(Fact.HEARTBEAT, BEAT)
    bench.hear(Fact.CAPABILITY, bench.capability(), model_id=MODEL)  # else it could not serve
    end = len(bench.file.model.layers)
    shared = replace(
        live,
        epoch=Epoch(7),
        plan_id=PlanId("f" * 16),
        stages=(sample_stage(ME, OTHER, start=0, stop=end),),
    )
    bench.hear(Fact.PLANS, PlansDocument(lease_term=1, plans=(shared,)))
    loaded = StageStatus(
        plan_id=shared.plan_id, epoch=shared.epoch, model_id=MODEL, stage=0, state=StageState.READY
    )
    bench.hear(Fact.STAGES, StagesDocument(stages=(loaded,)))
    bench.until(lambda: bench.routes[-1] == whole_route(shared))
    stopped = Heartbeat(boot_id=BootId("0" * 8), sequence=2, state=NodeState.STOPPED)
    bench.hear(Fact.HEARTBEAT, stopped)
    alone = Route(plan=shared, usable=(frozenset({ME}),))
    bench.until(lambda: alone in bench.routes)
    assert None not in bench.routes, "requests never had to wait"
    bench.until(lambda: (plan := bench.live()) is not None and plan.epoch == 8)


def test_a_stage_waits_for_its_model_to_be_read(bench: Bench) -> None:
    """After a restart the plan is known before the file is read: that is no failure."""
    bench.is_read = False
    bench.begin()
    bench.until(lambda: bench.control.is_coordinator and bool(bench.plans().plans))
    assert bench.stages.document().stages == ()
    bench.is_read = True
    bench.review_soon()
    bench.until(lambda: bench.live() is not None)


def test_figures_that_no_plan_may_carry_do_not_stop_the_planning(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nonsense(*_args: object, **_kwargs: object) -> Plan:
        raise ValueError("a time of a plan's stage")

    with monkeypatch.context() as patched:
        patched.setattr(coordinator, "propose", nonsense)
        bench.begin()
        bench.until(lambda: bool(bench.control.problem_of(MODEL)))
    assert "cannot be told" in (bench.control.problem_of(MODEL) or "")


def test_a_quarantined_stage_is_told_at_once_where_no_other_plan_is_possible(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revival, "WAITS_S", ())
    bench.begin()
    bench.until(lambda: bench.control.is_routed(MODEL))
    kill_stage(bench)
    bench.until(lambda: bool(bench.ended))
    assert bench.routed == [PlanPhase.LIVE, None], "they wait until another plan was looked for"
    (told,) = bench.ended
    assert told.startswith(
        "the model has no plan any more: no node can run it: 5: left out for 5 min: quarantined: "
    )
    assert bench.control.no_plan_reason(MODEL, "tiny") == told.replace("the model", "tiny", 1)
    assert not bench.control.is_routed(MODEL)


def test_a_quarantined_stage_is_gone_without_as_soon_as_another_plan_is_live(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revival, "WAITS_S", ())
    monkeypatch.setattr(bars, "BAR_S", 0.2)
    bench.begin()
    bench.until(lambda: bench.control.is_routed(MODEL))
    before = bench.live()
    kill_stage(bench)
    bench.until(lambda: bool(bench.ended))
    bench.review_soon()
    bench.loop.every(0.1, bench.review_soon)
    bench.until(lambda: bench.control.is_routed(MODEL))
    assert bench.live() != before
    assert bench.routed[-1] is PlanPhase.LIVE


def kill_stage(bench: Bench) -> None:
    live = bench.live()
    assert live is not None
    (x,) = bench.file.model.inputs
    bench.runtime.slices[-1].die()
    bench.stages.frame(
        Frame(
            kind=FrameKind.ACTIVATION,
            request_key=RequestKey(b"k" * 16),
            sender=OTHER,
            plan_id=live.plan_id,
            time_left_s=30.0,
            tensors=(FrameTensor(index=x.index, data=bytes(x.size_bytes)),),
        )
    )


def test_stages_stay_for_sessions_when_their_plan_is_replaced(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "LINGER_S", 0.0)
    bench.begin()
    bench.until(lambda: bench.live() is not None)
    live = bench.live()
    assert live is not None
    (x,) = bench.file.model.inputs
    step = SessionStep(key=SessionKey(b"s" * 16), number=0)
    frame = Frame(
        kind=FrameKind.STEP,
        request_key=RequestKey(b"k" * 16),
        sender=OTHER,
        plan_id=live.plan_id,
        time_left_s=30.0,
        tensors=(FrameTensor(index=x.index, data=bytes(x.size_bytes)),),
        step=step,
    )
    bench.stages.frame(frame)
    newer = codec.from_plain(Plan, codec.to_plain(live) | {"epoch": 7, "plan_id": "f" * 16})
    bench.roster.found(OTHER, URL, own_word=True)
    bench.hear(Fact.HEARTBEAT, BEAT)
    bench.hear(Fact.PLANS, PlansDocument(lease_term=1, plans=(newer,)))
    bench.until(lambda: bench.live() == newer)
    bench.until(lambda: len(bench.routed) == 2)
    assert {status.plan_id for status in bench.stages.document().stages} == {
        live.plan_id,
        newer.plan_id,
    }
    bench.stages.frame(replace(frame, kind=FrameKind.DROP, tensors=()))
    bench.review_soon()
    bench.until(lambda: [s.plan_id for s in bench.stages.document().stages] == [newer.plan_id])


def test_not_even_sessions_keep_a_replaced_plan_for_ever(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "LINGER_S", 0.0)
    monkeypatch.setattr(control, "SESSION_LINGER_S", 0.0)
    monkeypatch.setattr(Stages, "in_session", property(lambda stages: stages.held))
    bench.begin()
    bench.until(lambda: bench.live() is not None)
    live = bench.live()
    assert live is not None
    newer = codec.from_plain(Plan, codec.to_plain(live) | {"epoch": 7, "plan_id": "f" * 16})
    bench.roster.found(OTHER, URL, own_word=True)
    bench.hear(Fact.HEARTBEAT, BEAT)
    bench.hear(Fact.PLANS, PlansDocument(lease_term=1, plans=(newer,)))
    bench.until(lambda: [s.plan_id for s in bench.stages.document().stages] == [newer.plan_id])


def test_who_is_there_and_who_began_a_new_life_decides_on_sessions(bench: Bench) -> None:
    bench.begin()
    bench.roster.found(OTHER, URL, own_word=True)
    bench.hear(Fact.HEARTBEAT, BEAT)
    both: frozenset[NodeId] = frozenset({ME, OTHER})
    bench.until(lambda: bool(bench.kept) and bench.kept[-1] == (both, frozenset()))
    again = Heartbeat(boot_id=BootId("1" * 8), sequence=1, state=NodeState.READY)
    bench.hear(Fact.HEARTBEAT, again)
    bench.until(lambda: (both, frozenset({OTHER})) in bench.kept)


def test_a_node_that_was_slow_measures_again_while_it_runs_nothing(bench: Bench) -> None:
    bench.begin()
    bench.until(lambda: bench.live() is not None)
    bench.roster.found(OTHER, URL, own_word=True)
    leading = replace(BEAT, lease_term=9, lease_holder=OTHER)
    bench.hear(Fact.HEARTBEAT, leading)
    bench.until(lambda: bench.control.lease.holder == OTHER)
    due = NodePace(model_id=MODEL, node_id=ME, slowness=3.0, is_due=True)
    bench.hear(Fact.PLANS, PlansDocument(lease_term=9, plans=(), paces=(due,)))
    assert bench.control.to_measure_again() == frozenset(), "its stage would show it"
    for held in bench.stages.held:
        bench.stages.unload(held)
    assert bench.control.to_measure_again() == {MODEL}
    for other in (replace(due, is_due=False), replace(due, node_id=OTHER)):
        bench.hear(Fact.PLANS, PlansDocument(lease_term=9, plans=(), paces=(other,)))
        assert bench.control.to_measure_again() == frozenset()


def test_a_draining_node_leads_only_where_nobody_else_can(bench: Bench) -> None:
    bench.begin()
    bench.until(lambda: bench.control.is_coordinator)
    bench.roster.state = NodeState.DRAINING
    bench.roster.found(OTHER, URL, own_word=True)
    bench.hear(Fact.HEARTBEAT, replace(BEAT, state=NodeState.DRAINING))
    bench.review_soon()
    bench.until(lambda: "it is draining" in (bench.control.problem_of(MODEL) or ""))
    assert bench.control.lease.holder in (ME, OTHER)
