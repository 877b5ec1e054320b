"""Sample documents as nodes publish them, to be changed where a test cares."""

from dataclasses import replace
from typing import Any

from mesh.ids import BootId, Epoch, ModelId, NodeId, PlanId
from mesh.wire.documents import Advert, Plan, PlanPhase, PlanReplica, PlanStage

_ADVERT = Advert(
    node_id=NodeId("0" * 16),
    boot_id=BootId("0" * 8),
    name="node",
    mesh_name="default",
    version="1",
    board="",
    board_label="",
    runtime="litert",
    runtime_version="2.3.0",
    kernel_class="k",
    broker_url="mqtt://a:1883",
    broker_kind="mosquitto",
    http_url="http://a:80",
    host_id="host",
    host_cores=4,
    threads=4,
    memory_bytes=1000,
)


_PLAN = Plan(
    plan_id=PlanId("0" * 16),
    epoch=Epoch(1),
    model_id=ModelId("0" * 64),
    phase=PlanPhase.LIVE,
    stages=(
        PlanStage(
            start=0,
            stop=1,
            replicas=(
                PlanReplica(node_id=NodeId("0" * 16), share=1.0, compute_s=0.01, transfer_s=0.0),
            ),
        ),
    ),
    bottleneck_s=0.01,
    bottleneck="",
    latency_s=0.1,
    single_node=None,
    single_node_s=None,
    verdict="",
)


def sample_advert(node_id: NodeId, **changes: Any) -> Advert:
    """What a healthy node says of itself, but for the `changes` by field."""
    return replace(_ADVERT, node_id=node_id, **changes)


def sample_stage(
    *node_ids: NodeId, start: int, stop: int, compute_s: float = 0.01, transfer_s: float = 0.0
) -> PlanStage:
    """A stage of a plan on these nodes, of which each takes an equal share."""
    replicas = (
        PlanReplica(
            node_id=node_id, share=1 / len(node_ids), compute_s=compute_s, transfer_s=transfer_s
        )
        for node_id in node_ids
    )
    return PlanStage(start=start, stop=stop, replicas=tuple(replicas))


def sample_plan(*stages: PlanStage, **changes: Any) -> Plan:
    """A live plan of these stages, but for the `changes` by field."""
    return replace(_PLAN, stages=stages, **changes)
