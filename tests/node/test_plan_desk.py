"""`mesh plan` on the asked node."""

import json
from dataclasses import replace

import pytest

from mesh.errors import InfeasibleError, OverloadedError, UsageError
from mesh.ids import BootId, Epoch, ModelId, NodeId, PlanId
from mesh.node.plan_desk import MAX_EXPLAINING
from mesh.planning.wishes import Wishes
from mesh.testing.documents import sample_stage
from mesh.wire import codec
from mesh.wire.beliefs import NodePace
from mesh.wire.control import Verb
from mesh.wire.documents import (
    GatewayStats,
    Heartbeat,
    NodeState,
    Plan,
    PlanPhase,
    PlansDocument,
    StagesDocument,
    StageState,
    StageStatus,
)
from mesh.wire.measured import RefusedLayers
from mesh.wire.planned import PlanOption, PlanReply, PlanRequest
from mesh.wire.topics import Fact, FactTopic, RequestTopic, Service
from tests.node.front_desk import ME, Bench

HALL = NodeId("a" * 16)


def placed(option: PlanOption) -> list[tuple[list[str], int, int]]:
    return [
        ([node.node_name for node in stage.replicas], stage.start, stage.stop)
        for stage in option.stages
    ]


def live_plan(model_id: ModelId) -> Plan:
    return Plan(
        plan_id=PlanId("0" * 16),
        epoch=Epoch(4),
        model_id=model_id,
        phase=PlanPhase.LIVE,
        stages=(sample_stage(ME, start=0, stop=1), sample_stage(HALL, start=1, stop=3)),
        bottleneck_s=0.01,
        bottleneck="",
        latency_s=0.02,
        single_node=None,
        single_node_s=None,
        verdict="",
        reason="pi is back",
    )


def test_a_plan_is_explained(bench: Bench) -> None:
    bench.measure(bench.add().model_id)
    told = bench.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply)
    assert (told.operators, told.live, told.chosen.title) == (3, None, "chosen")
    assert placed(told.chosen) == [(["pi"], 0, 3)]
    assert told.verdict


def test_layers_that_no_runtime_can_load_are_told_with_what_is_lacking(bench: Bench) -> None:
    bench.measure(bench.add().model_id)
    (model_id,) = bench.library.capabilities
    refused = RefusedLayers(start=1, stop=2, reason="tflite 2.14.0 lacks RANK version 2")
    measured = bench.library.capabilities[model_id]
    limited = replace(
        measured, layer_s=(measured.layer_s[0], None, *measured.layer_s[2:]), refused=(refused,)
    )
    bench.learn(Fact.CAPABILITY, limited, model_id=model_id)
    with pytest.raises(InfeasibleError, match=r"pi: tflite 2.14.0 lacks RANK version 2 \(layer 1"):
        bench.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply)


def test_without_a_node_that_could_the_reasons_are_told(bench: Bench) -> None:
    bench.add()
    with pytest.raises(InfeasibleError, match="pi: it is fetching"):
        bench.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply)


def test_a_node_that_failed_with_the_model_is_named_with_its_own_words(bench: Bench) -> None:
    model_id = bench.add().model_id
    bench.measure(model_id)
    bench.control.barred[ME] = "quarantined: its interpreter ended 4 times within 12 s"
    with pytest.raises(InfeasibleError, match="pi: quarantined: its interpreter ended 4 times"):
        bench.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply)


def test_plans_are_explained_beside_the_loop_and_not_without_end(bench: Bench) -> None:
    """With a dozen nodes one takes seconds, in which the loop must beat."""
    bench.measure(bench.add().model_id)
    replies: list[bytes] = []
    topic = RequestTopic(service=Service.CONTROL, target=Verb.PLAN.value)
    for _ in range(MAX_EXPLAINING + 1):
        bench.reception.handle(topic, codec.encode(PlanRequest(name="tiny")), replies.append)
    (refused,) = [json.loads(reply) for reply in replies]
    assert refused["code"] == OverloadedError.code
    bench.run_until(bench.loop, lambda: len(replies) == MAX_EXPLAINING + 1)
    assert bench.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply).name == "tiny"


@pytest.fixture
def two(bench: Bench) -> Bench:
    """This node, and "hall", on which the model was measured too."""
    bench.measure(bench.add().model_id)
    bench.join(HALL, "hall", board="raspberry-pi-5")
    return bench


def test_what_is_left_out_on_purpose_has_no_stage(two: Bench) -> None:
    told = two.ask(Verb.PLAN, PlanRequest(name="tiny", without=("hall",)), PlanReply)
    assert [(one.node_name, one.reason) for one in told.left_out] == [
        ("hall", "you asked for a plan without it")
    ]
    with pytest.raises(UsageError, match="there is no node 'attic'"):
        two.ask(Verb.PLAN, PlanRequest(name="tiny", without=("attic",)), PlanReply)
    with pytest.raises(InfeasibleError, match="hall: you asked for a plan without it"):
        two.ask(Verb.PLAN, PlanRequest(name="tiny", without=("hall", "pi")), PlanReply)


def test_other_wishes_make_another_plan(two: Bench) -> None:
    request = PlanRequest(name="tiny", wishes=Wishes(min_stages=2))
    told = two.ask(Verb.PLAN, request, PlanReply)
    assert len(told.chosen.stages) == 2
    bounded = replace(request, wishes=Wishes(latency_bound_s=1e-9))
    with pytest.raises(InfeasibleError, match="latency"):
        two.ask(Verb.PLAN, bounded, PlanReply)


def test_boards_that_are_not_there_can_be_supposed(two: Bench) -> None:
    told = two.ask(Verb.PLAN, PlanRequest(name="tiny", add=("pi5:2",)), PlanReply)
    assert any("pi5" in sentence for sentence in told.supposed)
    assert told.least_requests_per_s is not None
    assert told.most_requests_per_s is not None
    assert told.least_requests_per_s < told.most_requests_per_s
    with pytest.raises(UsageError, match="pi5"):
        two.ask(Verb.PLAN, PlanRequest(name="tiny", add=("abacus",)), PlanReply)


def test_the_front_the_helps_and_the_question_come_when_asked_for(two: Bench) -> None:
    plain = two.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply)
    assert (plain.helps, plain.front, plain.problem) == ((), (), None)
    request = PlanRequest(name="tiny", helps=True, front=True, dump_problem=True)
    told = two.ask(Verb.PLAN, request, PlanReply)
    assert told.front
    assert told.problem is not None
    assert [node.name for node in told.problem.nodes] == ["pi", "hall"]


def test_the_live_plan_is_explained_with_what_was_measured(two: Bench) -> None:
    (model_id,) = two.library.capabilities
    plan = live_plan(model_id)
    two.control.adopted[model_id] = plan
    status = StageStatus(
        plan_id=plan.plan_id,
        epoch=plan.epoch,
        model_id=model_id,
        stage=0,
        state=StageState.READY,
        measured_compute_s=0.02,
    )
    two.learn(Fact.STAGES, StagesDocument(stages=(status,)))
    told = two.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply)
    assert (told.chosen.title, placed(told.chosen)) == ("live", [(["pi"], 0, 1), (["hall"], 1, 3)])
    assert told.live is not None
    assert (told.live.epoch, told.live.reason, told.live.requests_per_s) == (4, "pi is back", None)
    measured = [stage.replicas[0].measured_compute_s for stage in told.chosen.stages]
    assert measured == [0.02, None]
    supposed = two.ask(Verb.PLAN, PlanRequest(name="tiny", without=("hall",)), PlanReply)
    assert supposed.chosen.title == "chosen"


def test_what_all_gateways_measured_is_added_up(two: Bench) -> None:
    (model_id,) = two.library.capabilities
    two.control.adopted[model_id] = live_plan(model_id)
    busy = GatewayStats(
        model_id=model_id,
        requests_per_s=3.0,
        p50_s=0.02,
        p95_s=None,
        answered=9,
        failed=0,
        in_flight=0,
        queued=0,
    )
    beat = Heartbeat(boot_id=BootId("0" * 8), sequence=2, state=NodeState.READY, gateway=(busy,))
    topic = FactTopic(node_id=HALL, fact=Fact.HEARTBEAT)
    two.roster.fact("mqtt://hall:1883", topic, codec.encode(beat))
    two.gateway = (replace(busy, requests_per_s=1.0, p50_s=0.5),)
    told = two.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply)
    assert told.live is not None
    assert (told.live.requests_per_s, told.live.latency_s) == (4.0, 0.02)


def test_what_the_coordinator_believes_of_nodes_is_planned_with_and_told(two: Bench) -> None:
    (model_id,) = two.library.capabilities
    without_pi = PlanRequest(name="tiny", without=("pi",))
    usual = two.ask(Verb.PLAN, without_pi, PlanReply)
    pace = NodePace(
        model_id=model_id, node_id=HALL, slowness=3.0, whole_s=3 * usual.chosen.latency_s
    )
    other = replace(pace, model_id=ModelId("f" * 64), whole_s=1e3)
    two.control.plans = PlansDocument(lease_term=1, plans=(), paces=(pace, other))
    told = two.ask(Verb.PLAN, without_pi, PlanReply)
    assert told.chosen.stages[0].replicas[0].compute_s == pytest.approx(pace.whole_s)
    assert told.corrections == (
        "hall is taken to be 3.0 times slower than first measured: its stages showed it",
    )


def test_a_plan_instead_of_the_live_one_is_to_fit_beside_it(two: Bench) -> None:
    """As the coordinator would have it: the live plan's stages stay until the next one is live."""
    (model_id,) = two.library.capabilities
    plan = replace(live_plan(model_id), stages=(sample_stage(HALL, start=1, stop=3),))
    two.control.adopted[model_id] = plan
    status = StageStatus(
        plan_id=plan.plan_id,
        epoch=plan.epoch,
        model_id=model_id,
        stage=0,
        state=StageState.READY,
        resident_bytes=1000,
    )
    topic = FactTopic(node_id=HALL, fact=Fact.STAGES)
    two.roster.fact("mqtt://hall:1883", topic, codec.encode(StagesDocument(stages=(status,))))
    request = PlanRequest(name="tiny", dump_problem=True)
    told = two.ask(Verb.PLAN, request, PlanReply)
    assert (told.chosen.title, told.problem is None) == ("chosen", False)
    rooms = {node.name: node.memory_bytes for node in told.problem.nodes}
    assert rooms["hall"] == rooms["pi"] - 1000


def test_without_the_node_where_requests_come_in_they_come_in_elsewhere(two: Bench) -> None:
    told = two.ask(Verb.PLAN, PlanRequest(name="tiny", without=("pi",)), PlanReply)
    assert told.gateway == HALL
    assert placed(told.chosen) == [(["hall"], 0, 3)]
    assert two.ask(Verb.PLAN, PlanRequest(name="tiny"), PlanReply).gateway == ME


def test_a_split_into_more_than_there_are_is_told(two: Bench) -> None:
    told = two.ask(Verb.PLAN, PlanRequest(name="tiny", wishes=Wishes(min_stages=3)), PlanReply)
    assert len(told.chosen.stages) == 2
    assert told.corrections == (
        "3 stages were asked for, and 2 are the most that its nodes and cuts allow now",
    )


def test_more_private_layers_than_there_are_is_an_error(two: Bench) -> None:
    wishes = Wishes(private_layers=4, owner="alice")
    with pytest.raises(UsageError, match="tiny has 3 layers, fewer than the 4"):
        two.ask(Verb.PLAN, PlanRequest(name="tiny", wishes=wishes), PlanReply)
