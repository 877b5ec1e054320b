"""What the stages of a live plan show of their nodes' speed, set against the benchmarks; nothing is believed here."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from mesh.fleet.drift import SHARED_BAND, Reading
from mesh.fleet.facts import benchmark_s, plan_node
from mesh.fleet.plans import status_of
from mesh.fleet.view import NodeView, View
from mesh.ids import ModelId, NodeId
from mesh.wire.documents import Plan

NOISE_S = 2e-4
"""So much of a run is the scheduler's: a stage is not slow for less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How a node is, as its heartbeat tells."""

    is_throttled: bool = False
    temperature_c: float | None = None


def readings(
    view: View,
    model_id: ModelId,
    live: Plan | None,
    *,
    nodes: Collection[NodeId],
    conditions: Mapping[NodeId, Condition],
) -> dict[NodeId, Reading]:
    """What is seen now of those among the nodes that have a benchmark."""
    found: dict[NodeId, Reading] = {}
    for node_id in sorted(nodes):
        node = view.get(node_id, NodeView())
        capability = node.capabilities.get(model_id)
        if node.advert is not None and capability is not None and capability.failure is None:
            found[node_id] = Reading(
                benchmark_s=benchmark_s(capability),
                ratio=None if live is None else _ratio(view, live, node_id),
                is_throttled=conditions.get(node_id, Condition()).is_throttled,
            )
    return _shared(found, view)


def _ratio(view: View, live: Plan, node_id: NodeId) -> float | None:
    """What the node's stage takes, by what its benchmark says of the same layers."""
    usual = plan_node(view[node_id], node_id, live.model_id)
    boundaries = view[node_id].capabilities[live.model_id].boundaries
    places = {operator: place for place, operator in enumerate(boundaries)}
    for i, stage in enumerate(live.stages):
        told = status_of(view, live, i, node_id) if node_id in stage.node_ids else None
        is_known = stage.start in places and stage.stop in places
        if told is None or told.measured_compute_s is None or not is_known:
            continue
        layers = usual.times_s[places[stage.start] : places[stage.stop]]
        usual_s = usual.stage_s + sum(layers)
        if abs(told.measured_compute_s - usual_s) < NOISE_S:
            return 1.0
        return told.measured_compute_s / usual_s if usual_s > 0 else None
    return None


def _shared(found: Mapping[NodeId, Reading], view: View) -> dict[NodeId, Reading]:
    """Nodes of one machine slow each other down: what they have in common is no one's own.

    What the least slow of them shows holds for all of its machine, those that run nothing included.
    """
    homes = _homes(found, view)
    shared = dict(found)
    for residents in homes.values():
        told = [ratio for n in residents if (ratio := found[n].ratio) is not None]
        if len(residents) == 1 or not told:
            continue
        common = min(told) if not 1 / SHARED_BAND < min(told) < SHARED_BAND else 1.0
        for node_id in residents:
            own = found[node_id].ratio
            is_own = own is not None and own > common * SHARED_BAND
            shared[node_id] = replace(found[node_id], ratio=own if is_own else common)
    return shared


def _homes(found: Collection[NodeId], view: View) -> dict[str, list[NodeId]]:
    homes: dict[str, list[NodeId]] = {}
    for node_id in found:
        advert = view[node_id].advert
        homes.setdefault((advert.host_id if advert is not None else "") or node_id, []).append(
            node_id
        )
    return homes
