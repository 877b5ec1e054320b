"""The answer to `mesh status`: this node's view of the whole mesh as one value; pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mesh.fleet.membership import Members, Presence, present
from mesh.fleet.plans import status_of
from mesh.fleet.view import NodeView, View
from mesh.ids import ModelId, NodeId
from mesh.store.manifest import ModelManifest
from mesh.wire.control import (
    STATUS_SCHEMA_VERSION,
    ModelStatus,
    NodeStatus,
    ReplicaLine,
    StageLine,
    StatusReply,
)
from mesh.wire.documents import GatewayStats, Heartbeat, NodeState, Plan, PlanReplica, StageStatus

_GONE = {Presence.LOST.value, Presence.UNHEARD.value, NodeState.STOPPED.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a status is made of. `own_heartbeat` stands for the asked node itself."""

    me: NodeId
    mesh_name: str
    view: View
    members: Members
    coordinator: NodeId | None
    own_heartbeat: Heartbeat
    manifests: tuple[ModelManifest, ...]
    adopted: Mapping[ModelId, Plan]
    routed: Callable[[ModelId], bool]
    problem_of: Callable[[ModelId], str | None]


def status(now: Snapshot) -> StatusReply:
    """Put it together, nodes and models sorted by name."""
    nodes = [_node(now, node_id) for node_id in {now.me, *now.members}]
    return StatusReply(
        schema_version=STATUS_SCHEMA_VERSION,
        mesh_name=now.mesh_name,
        asked=now.me,
        nodes=tuple(sorted(nodes, key=lambda node: (node.name, node.node_id))),
        models=tuple(_model(now, manifest) for manifest in now.manifests),
        notes=tuple(_notes(now, nodes)),
    )


def name_of(view: View, node_id: NodeId) -> str:
    """A node's name, its id while it has not introduced itself."""
    node = view.get(node_id)
    return node.advert.name if node is not None and node.advert is not None else node_id


def _heartbeat(now: Snapshot, node_id: NodeId) -> Heartbeat | None:
    if node_id == now.me:
        return now.own_heartbeat
    member = now.members.get(node_id)
    return member.heartbeat if member is not None else None


def _state(now: Snapshot, node_id: NodeId) -> str:
    beat = _heartbeat(now, node_id)
    if node_id == now.me:
        return now.own_heartbeat.state.value
    presence = now.members[node_id].presence
    said_goodbye = beat is not None and beat.state is NodeState.STOPPED
    if beat is not None and (presence is Presence.PRESENT or said_goodbye):
        return beat.state.value
    return presence.value


def _node(now: Snapshot, node_id: NodeId) -> NodeStatus:
    node = now.view.get(node_id, NodeView())
    advert, beat = node.advert, _heartbeat(now, node_id)
    member = now.members.get(node_id)
    stages = node.stages.stages if node.stages is not None else ()
    return NodeStatus(
        node_id=node_id,
        name=name_of(now.view, node_id),
        board=advert.board_label if advert is not None else "",
        state=_state(now, node_id),
        is_coordinator=node_id == now.coordinator,
        load_1min=beat.load_1min if beat is not None else None,
        temperature_c=beat.temperature_c if beat is not None else None,
        throttled=beat.throttled if beat is not None else None,
        memory_available_bytes=beat.memory_available_bytes if beat is not None else None,
        broker_url=advert.broker_url if advert is not None else member.broker_url if member else "",
        broker_kind=advert.broker_kind if advert is not None else "",
        http_url=advert.http_url if advert is not None else "",
        runtime=f"{advert.runtime} {advert.runtime_version}" if advert is not None else "",
        threads=advert.threads if advert is not None else 0,
        version=advert.version if advert is not None else "",
        stages_resident_bytes=sum(stage.resident_bytes for stage in stages),
        activities=beat.activities if beat is not None else (),
        warnings=beat.warnings if beat is not None else (),
    )


def _model(now: Snapshot, manifest: ModelManifest) -> ModelStatus:
    plan = now.adopted.get(manifest.model_id)
    stats = list(_stats(now, manifest.model_id))
    busiest = max(stats, key=lambda one: one.answered, default=None)
    return ModelStatus(
        name=manifest.name,
        model_id=manifest.model_id,
        size_bytes=manifest.size_bytes,
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        state=_model_state(now, manifest.model_id, plan),
        epoch=plan.epoch if plan is not None else None,
        stages=_stage_lines(now, plan) if plan is not None else (),
        bottleneck=plan.bottleneck if plan is not None else None,
        bottleneck_s=plan.bottleneck_s if plan is not None else None,
        latency_s=plan.latency_s if plan is not None else None,
        single_node_s=plan.single_node_s if plan is not None else None,
        verdict=plan.verdict if plan is not None else None,
        problem=now.problem_of(manifest.model_id),
        held_by=sum(
            node.holdings is not None and manifest.model_id in node.holdings.held
            for node_id, node in now.view.items()
            if node_id in {now.me, *present(now.members)}
        ),
        requests_per_s=sum(one.requests_per_s for one in stats),
        p50_s=busiest.p50_s if busiest is not None else None,
        p95_s=busiest.p95_s if busiest is not None else None,
        answered=sum(one.answered for one in stats),
        failed=sum(one.failed for one in stats),
        in_flight=sum(one.in_flight for one in stats),
        queued=sum(one.queued for one in stats),
        sessions=sum(one.sessions for one in stats),
        optimal=plan.optimal if plan is not None else None,
        gap=plan.gap if plan is not None else None,
        reason=plan.reason if plan is not None else "",
    )


def _model_state(now: Snapshot, model_id: ModelId, plan: Plan | None) -> str:
    if plan is None:
        return "no plan yet"
    return "serving" if now.routed(model_id) else "waiting for a node"


def _stats(now: Snapshot, model_id: ModelId) -> Iterable[GatewayStats]:
    for node_id in {now.me, *now.members}:
        beat = _heartbeat(now, node_id)
        for one in beat.gateway if beat is not None else ():
            if one.model_id == model_id:
                yield one


def _stage_lines(now: Snapshot, plan: Plan) -> tuple[StageLine, ...]:
    return tuple(
        StageLine(
            start=stage.start,
            stop=stage.stop,
            replicas=tuple(
                _replica_line(now.view, replica, status_of(now.view, plan, i, replica.node_id))
                for replica in stage.replicas
            ),
        )
        for i, stage in enumerate(plan.stages)
    )


def _replica_line(view: View, replica: PlanReplica, told: StageStatus | None) -> ReplicaLine:
    return ReplicaLine(
        node_id=replica.node_id,
        node_name=name_of(view, replica.node_id),
        share=replica.share,
        compute_s=replica.compute_s,
        transfer_s=replica.transfer_s,
        resident_bytes=told.resident_bytes if told is not None else 0,
        state=told.state if told is not None else None,
        measured_compute_s=told.measured_compute_s if told is not None else None,
    )


def _notes(now: Snapshot, nodes: Iterable[NodeStatus]) -> Iterable[str]:
    for node in sorted(nodes, key=lambda node: node.name):
        if node.state in _GONE:
            continue
        if node.throttled:
            yield f"{node.name} is throttled: cool it or give it a better power supply"
        if "embedded" in node.broker_kind:
            yield f"{node.name} runs the embedded broker, which is slow: apt install mosquitto"
        yield from (f"{node.name}: {warning}" for warning in node.warnings)
    shared = _shared_machines(now)
    if shared:
        yield f"{', '.join(shared)} share one machine: its cores are theirs together"


def _shared_machines(now: Snapshot) -> list[str]:
    residents: dict[str, list[str]] = {}
    for node_id in {now.me, *now.members}:
        node = now.view.get(node_id)
        if node is not None and node.advert is not None and node.advert.host_id:
            residents.setdefault(node.advert.host_id, []).append(node.advert.name)
    return sorted(name for names in residents.values() if len(names) > 1 for name in names)
