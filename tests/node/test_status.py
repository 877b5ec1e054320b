from dataclasses import replace

from mesh.fleet.membership import Member, Presence
from mesh.fleet.view import NodeView
from mesh.ids import BootId, Epoch, ModelId, NodeId, PlanId
from mesh.model.tensor import DataType, TensorSpec
from mesh.node.status import Snapshot, name_of, status
from mesh.store.manifest import ModelManifest
from mesh.testing.documents import sample_stage
from mesh.wire.documents import (
    Advert,
    GatewayStats,
    Heartbeat,
    HoldingsDocument,
    NodeState,
    Plan,
    PlanPhase,
    StagesDocument,
    StageState,
    StageStatus,
)

ME, A, B = NodeId("0" * 16), NodeId("a" * 16), NodeId("b" * 16)
MODEL = ModelId("0" * 64)
SPEC = TensorSpec(index=0, name="x", data_type=DataType.FP32, shape=(1,))
BEAT = Heartbeat(boot_id=BootId("0" * 8), sequence=1, state=NodeState.READY)
MANIFEST = ModelManifest(
    model_id=MODEL,
    name="tiny",
    size_bytes=100,
    inputs=(SPEC,),
    outputs=(SPEC,),
    revision=1,
    writer=ME,
)
PLAN = Plan(
    plan_id=PlanId("f" * 16),
    epoch=Epoch(4),
    model_id=MODEL,
    phase=PlanPhase.LIVE,
    stages=(
        sample_stage(ME, start=0, stop=2, compute_s=0.1, transfer_s=0.0),
        sample_stage(A, start=2, stop=3, compute_s=0.2, transfer_s=0.05),
    ),
    bottleneck_s=0.2,
    bottleneck="compute on a",
    latency_s=0.4,
    single_node=ME,
    single_node_s=0.3,
    verdict="two are better",
)
READY_STAGE = StageStatus(
    plan_id=PLAN.plan_id,
    epoch=PLAN.epoch,
    model_id=MODEL,
    stage=1,
    state=StageState.READY,
    resident_bytes=7,
)


def advert(node_id: NodeId, name: str, **changes: object) -> Advert:
    plain = Advert(
        node_id=node_id,
        boot_id=BootId("0" * 8),
        name=name,
        mesh_name="default",
        version="0",
        board="b",
        board_label="A board",
        runtime="litert",
        runtime_version="2",
        kernel_class="k",
        broker_url=f"mqtt://{name}:1883",
        broker_kind="mosquitto 2.0.11",
        http_url=f"http://{name}:80",
        host_id=name,
        host_cores=4,
        threads=4,
        memory_bytes=1,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def stats(answered: int, rate: float, p50_s: float) -> GatewayStats:
    return GatewayStats(
        model_id=MODEL,
        requests_per_s=rate,
        p50_s=p50_s,
        p95_s=2 * p50_s,
        answered=answered,
        failed=1,
        in_flight=2,
        queued=3,
    )


def member(node_id: NodeId, presence: Presence, beat: Heartbeat | None) -> Member:
    return Member(
        node_id=node_id,
        broker_url="mqtt://gossip:1883",
        presence=presence,
        changed_s=0.0,
        heartbeat=beat,
    )


def snapshot(**changes: object) -> Snapshot:
    plain = Snapshot(
        me=ME,
        mesh_name="default",
        view={
            ME: NodeView(advert=advert(ME, "zero"), holdings=HoldingsDocument(held=(MODEL,))),
            A: NodeView(advert=advert(A, "alpha"), stages=StagesDocument(stages=(READY_STAGE,))),
        },
        members={A: member(A, Presence.PRESENT, BEAT)},
        coordinator=A,
        own_heartbeat=BEAT,
        manifests=(MANIFEST,),
        adopted={MODEL: PLAN},
        routed=lambda _model: True,
        problem_of=lambda _model: None,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_nodes_are_told_by_name_with_the_one_that_was_asked() -> None:
    told = status(snapshot())
    assert told.asked == ME
    assert [node.name for node in told.nodes] == ["alpha", "zero"]
    assert [node.is_coordinator for node in told.nodes] == [True, False]
    alpha = told.nodes[0]
    assert (alpha.state, alpha.runtime, alpha.board) == ("ready", "litert 2", "A board")
    assert alpha.stages_resident_bytes == 7


def test_a_node_that_has_not_introduced_itself_is_called_by_its_id() -> None:
    members = {B: member(B, Presence.UNHEARD, None)}
    (unknown,) = [one for one in status(snapshot(members=members)).nodes if one.node_id == B]
    assert (unknown.name, unknown.state, unknown.broker_url) == (B, "unheard", "mqtt://gossip:1883")
    assert name_of({}, B) == B


def test_a_lost_node_is_lost_whatever_it_said_last() -> None:
    members = {A: member(A, Presence.LOST, BEAT)}
    assert status(snapshot(members=members)).nodes[0].state == "lost"


def test_a_model_is_told_with_its_live_plan() -> None:
    (model,) = status(snapshot()).models
    assert (model.state, model.epoch, model.held_by) == ("serving", 4, 1)
    first, second = model.replicas
    assert (first.node_name, first.state, first.resident_bytes) == ("zero", None, 0)
    assert (second.node_name, second.state, second.resident_bytes) == ("alpha", StageState.READY, 7)
    assert (model.bottleneck_s, model.latency_s, model.single_node_s) == (0.2, 0.4, 0.3)


def test_each_replica_has_its_own_line() -> None:
    stages = (sample_stage(ME, A, start=0, stop=3),)
    plan = replace(PLAN, stages=stages, optimal=False, gap=0.1, reason="alpha joined")
    told = replace(READY_STAGE, stage=0, measured_compute_s=0.02)
    view = {
        ME: NodeView(advert=advert(ME, "zero")),
        A: NodeView(advert=advert(A, "alpha"), stages=StagesDocument(stages=(told,))),
    }
    (model,) = status(snapshot(adopted={MODEL: plan}, view=view)).models
    (stage,) = model.stages
    zero, alpha = stage.replicas
    assert (stage.start, stage.stop) == (0, 3)
    assert (zero.node_name, zero.share, zero.measured_compute_s) == ("zero", 0.5, None)
    assert (alpha.node_name, alpha.state, alpha.measured_compute_s) == (
        "alpha",
        StageState.READY,
        0.02,
    )
    assert (model.optimal, model.gap, model.reason) == (False, 0.1, "alpha joined")


def test_a_model_without_a_plan_says_why() -> None:
    (model,) = status(snapshot(adopted={}, problem_of=lambda _model: "no node is ready")).models
    assert (model.state, model.epoch, model.stages) == ("no plan yet", None, ())
    assert model.problem == "no node is ready"


def test_a_plan_that_misses_a_node_waits_for_it() -> None:
    (model,) = status(snapshot(routed=lambda _model: False)).models
    assert model.state == "waiting for a node"


def test_all_gateways_count_and_the_busiest_ones_latency_is_told() -> None:
    mine, theirs = stats(10, 1.0, 0.5), stats(90, 9.0, 0.1)
    told = status(
        snapshot(
            own_heartbeat=replace(BEAT, gateway=(mine,)),
            members={A: member(A, Presence.PRESENT, replace(BEAT, gateway=(theirs,)))},
        )
    )
    (model,) = told.models
    assert (model.answered, model.failed, model.in_flight, model.queued) == (100, 2, 4, 6)
    assert (model.requests_per_s, model.p50_s, model.p95_s) == (10.0, 0.1, 0.2)


def test_notes_tell_what_is_to_be_done() -> None:
    view = {
        ME: NodeView(advert=advert(ME, "zero", broker_kind="amqtt 0.11 (embedded)", host_id="h")),
        A: NodeView(advert=advert(A, "alpha", host_id="h")),
    }
    beat = replace(BEAT, throttled=True, warnings=("it is hot",))
    notes = status(snapshot(view=view, members={A: member(A, Presence.PRESENT, beat)})).notes
    assert notes[0].startswith("alpha is throttled")
    assert notes[1] == "alpha: it is hot"
    assert "zero runs the embedded broker" in notes[2]
    assert notes[3] == "alpha, zero share one machine: its cores are theirs together"


def test_a_sound_mesh_has_no_notes() -> None:
    assert status(snapshot()).notes == ()
