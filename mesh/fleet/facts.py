"""From what the nodes say to the planner's question: who may take part in a model, and who not yet."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from mesh.fleet.drift import Pace
from mesh.fleet.view import NodeView, View
from mesh.ids import ModelId, NodeId
from mesh.model.tensor import LayerRange
from mesh.planning import PlanLink, PlanNode, Problem
from mesh.planning.pieces import Pieces
from mesh.planning.wishes import Wishes
from mesh.wire.documents import MAX_REPLICAS
from mesh.wire.measured import CapabilityDocument, LinksDocument, RefusedLayers

INTERPRETER_BYTES = 48 << 20
"""Resident memory of a child that holds an interpreter and NumPy but no model yet.

Measured on x86-64 with Python 3.11: 40 MiB with LiteRT 2.3, 42 MiB with tflite-runtime 2.14.
"""

LEAST_CORES = 0.001
"""A node that is busy with itself has this left: it is slow, not impossible."""

HANDLING = 2.0
"""A stage's queue, threads and call take as much again as the bare frames, sent and received.

Measured as the next: processor time of node and broker per request, two models on 2 to 4 nodes.
"""
REQUEST_MESSAGES = 5.0
"""A client's request takes about as much as so many frames: 3.9 to 6.6."""

_NONE = Wishes()

MAX_TOLD = 4
"""How many reasons, and ranges of layers for each, are told of one node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where each present node stands for one model: `waiting` and `excluded` say why in words."""

    eligible: tuple[NodeId, ...]
    waiting: Mapping[NodeId, str]
    excluded: Mapping[NodeId, str]


def standing(
    view: View,
    model_id: ModelId,
    pieces: Pieces,
    *,
    ready: Collection[NodeId],
    barred: Mapping[NodeId, str],
    need_links: bool,
    wishes: Wishes = _NONE,
    draining: Collection[NodeId] = (),
) -> Standing:
    """Sort the ready and the `draining` nodes. `barred` nodes failed with this model before.

    Without `need_links` a node may take part whose links are not all known: it is used only along
    those that are.
    """
    waiting: dict[NodeId, str] = {}
    excluded: dict[NodeId, str] = {}
    eligible: list[NodeId] = []
    for node_id in sorted({*ready, *draining}):
        node = view.get(node_id, NodeView())
        if node_id in draining:
            excluded[node_id] = "it is draining"
        elif node_id in wishes.never:
            excluded[node_id] = "the model is never to run there"
        elif node_id in barred:
            excluded[node_id] = barred[node_id]
        elif (why := _unmeasured(node, model_id)) is not None:
            waiting[node_id] = why
        elif (why := _unable(node, model_id, pieces)) is not None:
            excluded[node_id] = why
        else:
            eligible.append(node_id)
    for node_id in _unlinked(view, eligible) if need_links else ():
        waiting[node_id] = "its links are being measured"
    return Standing(
        eligible=tuple(node_id for node_id in eligible if node_id not in waiting),
        waiting=waiting,
        excluded=excluded,
    )


def problem_for(
    view: View,
    model_id: ModelId,
    pieces: Pieces,
    *,
    eligible: Collection[NodeId],
    gateway: NodeId,
    wishes: Wishes,
    draining: Collection[NodeId] = (),
    paces: Mapping[NodeId, Pace] = MappingProxyType({}),
    drifted: Mapping[tuple[NodeId, NodeId], PlanLink] = MappingProxyType({}),
) -> Problem:
    """The planner's question for these nodes, less those that are `draining` or never to be used.

    A split asked for is made as wide as nodes and cuts allow. `paces` correct what nodes measured
    once, `drifted` what is told of links.
    """
    usable = sorted({*eligible} - {*draining, *wishes.never})
    nodes = tuple(
        _now(plan_node(view[node_id], node_id, model_id), factor)
        for node_id in usable
        for factor in (_factor(view[node_id], model_id, paces.get(node_id)),)
    )
    memory = pieces.memory_in(_runtimes(view, usable))
    links = known_links(view, {*usable, gateway})
    return Problem(
        nodes=nodes,
        layer_memory_bytes=memory.piece_bytes,
        boundary_bytes=pieces.boundary_bytes,
        links=links | {pair: link for pair, link in drifted.items() if pair in links},
        gateway=gateway,
        gateway_request_cpu_s=_request_cpu_s(view, gateway, pieces),
        stage_memory_bytes=memory.stage_bytes + INTERPRETER_BYTES,
        # In the arena, and shared with the daemon.
        receive_memory_bytes=tuple(2 * size_bytes for size_bytes in pieces.boundary_bytes),
        send_memory_bytes=tuple(2 * size_bytes for size_bytes in pieces.boundary_bytes),
        min_stages=max(1, min(wishes.min_stages, len(nodes), len(pieces))),
        max_replicas=_most_replicas(wishes, len(nodes)),
        required=frozenset(wishes.must),
        private_layers=_pieces_with(pieces, wishes.private_layers),
        private_nodes=_nodes_of(view, usable, wishes.owner),
        latency_bound_s=wishes.bound_s,
        objective=wishes.objective,
    )


def _most_replicas(wishes: Wishes, nodes: int) -> int | None:
    """As many as asked for, and no more than a plan's document can name; None where any number can."""
    most = MAX_REPLICAS if wishes.max_replicas is None else min(wishes.max_replicas, MAX_REPLICAS)
    return wishes.max_replicas if nodes <= MAX_REPLICAS else most


def without_bytes(problem: Problem, held_bytes: Mapping[NodeId, int]) -> Problem | None:
    """The question where so much memory of its nodes is taken and stays so; None where none is."""
    if not held_bytes:
        return None
    nodes = tuple(
        replace(one, memory_bytes=max(0, one.memory_bytes - held_bytes.get(one.node_id, 0)))
        for one in problem.nodes
    )
    return replace(problem, nodes=nodes)


def _request_cpu_s(view: View, gateway: NodeId, pieces: Pieces) -> float:
    """What a client's request costs its gateway: message in, parsing, timers, reply out."""
    told = view[gateway].links if gateway in view else None
    talk = told or LinksDocument(links=())
    carried_bytes = pieces.boundary_bytes[0] + pieces.boundary_bytes[-1]
    return REQUEST_MESSAGES * talk.message_cpu_s + talk.byte_cpu_s * carried_bytes


def benchmark_s(capability: CapabilityDocument) -> float:
    """What a node measured for all layers that it can run."""
    return capability.stage_s + sum(one or 0.0 for one in capability.layer_s)


def _factor(node: NodeView, model_id: ModelId, pace: Pace | None) -> float:
    return 1.0 if pace is None else pace.factor(benchmark_s(node.capabilities[model_id]))


def _now(node: PlanNode, factor: float) -> PlanNode:
    """The node as it is believed to be now."""
    return replace(
        node,
        layer_s=tuple(None if one is None else one * factor for one in node.layer_s),
        stage_s=node.stage_s * factor,
    )


def _pieces_with(pieces: Pieces, operators: int) -> int:
    """How many pieces hold the model's first operators: a piece that holds one is kept whole."""
    return sum(start < operators for start in pieces.boundaries[:-1])


def _nodes_of(view: View, nodes: Collection[NodeId], owner: str) -> frozenset[NodeId]:
    """Who says to belong to this owner; nobody belongs to an owner without a name."""
    adverts = {node_id: view[node_id].advert for node_id in nodes}
    return frozenset(
        node_id
        for node_id, advert in adverts.items()
        if owner and advert is not None and advert.owner == owner
    )


def waiting_sentence(view: View, who: Standing) -> str:
    return "not planned yet: " + _reasons(view, who.waiting)


def nobody_sentence(view: View, who: Standing) -> str:
    reasons = {**who.waiting, **who.excluded}
    if not reasons:
        return "no node is ready"
    verdict = "not planned yet" if who.waiting else "no node can run it"
    return f"{verdict}: {_reasons(view, reasons)}"


def _reasons(view: View, reasons: Mapping[NodeId, str]) -> str:
    return "; ".join(f"{_name(view, node_id)}: {why}" for node_id, why in sorted(reasons.items()))


def _name(view: View, node_id: NodeId) -> str:
    node = view.get(node_id)
    return node.advert.name if node is not None and node.advert is not None else node_id


def _unmeasured(node: NodeView, model_id: ModelId) -> str | None:
    if node.advert is None:
        return "it has not introduced itself"
    if node.holdings is None or model_id not in node.holdings.held:
        return "it is fetching the model"
    if model_id not in node.capabilities:
        return "it is being measured"
    return None


def _unable(node: NodeView, model_id: ModelId, pieces: Pieces) -> str | None:
    capability = node.capabilities[model_id]
    if capability.failure is not None:
        return capability.failure
    if capability.boundaries != pieces.boundaries:
        return "it runs a version of this software that cuts models elsewhere"
    if set(capability.layer_s) == {None}:
        return refused_sentence(capability)
    return None


def refused_sentence(capability: CapabilityDocument) -> str:
    """What a node cannot run and why, as "tflite 2.14.0 lacks RANK version 2 (layers 3–7, 9)"; or empty."""
    if None not in capability.layer_s:
        return ""
    layers: dict[str, list[RefusedLayers]] = {}
    for one in capability.refused:
        layers.setdefault(one.reason, []).append(one)
    told = [f"{reason} ({_layers(which)})" for reason, which in layers.items()]
    return "; ".join(_first(told, MAX_TOLD)) or "its runtime cannot load every layer"


def _layers(which: Sequence[RefusedLayers]) -> str:
    ranges = [LayerRange(start=one.start, stop=one.stop) for one in which]
    named = [str(one) if len(one) > 1 else str(one.start) for one in ranges]
    is_single = len(ranges) == len(ranges[0]) == 1
    return f"layer{'' if is_single else 's'} {', '.join(_first(named, MAX_TOLD))}"


def _first(texts: Sequence[str], most: int) -> list[str]:
    return [*texts[:most], *([f"and {len(texts) - most} more"] if len(texts) > most else [])]


def _unlinked(view: View, eligible: Collection[NodeId]) -> set[NodeId]:
    """Nodes that do not know their links to all others yet."""
    known = known_links(view, eligible)
    return {
        one
        for one in eligible
        if any(one != other and (one, other) not in known for other in eligible)
    }


def known_links(view: View, nodes: Collection[NodeId]) -> dict[tuple[NodeId, NodeId], PlanLink]:
    """The measured links among these nodes."""
    links = {}
    for node_id in nodes:
        document = view[node_id].links if node_id in view else None
        for link in document.links if document is not None else ():
            if link.peer in nodes and link.peer != node_id:
                links[node_id, link.peer] = PlanLink(
                    goodput_bytes_per_s=link.goodput_bytes_per_s, message_s=link.message_s
                )
    return links


def are_neighbours(view: View, one: NodeId, other: NodeId) -> bool:
    """Whether both nodes are on one machine."""
    hosts = [advert.host_id for n in (one, other) if (advert := view.get(n, NodeView()).advert)]
    return len(hosts) == 2 and bool(hosts[0]) and hosts[0] == hosts[1]


def _runtimes(view: View, nodes: Collection[NodeId]) -> set[str]:
    adverts = (view[node_id].advert for node_id in nodes)
    return {advert.runtime for advert in adverts if advert is not None}


def plan_node(node: NodeView, node_id: NodeId, model_id: ModelId) -> PlanNode:
    """A node as its own documents tell. Raises: ValueError, KeyError for one that is not eligible."""
    if node.advert is None:
        raise ValueError(f"{node_id} is not eligible: it has no advert")
    capability = node.capabilities[model_id]
    talk = node.links or LinksDocument(links=())
    cores = max(node.advert.host_cores - talk.background_cores, LEAST_CORES)
    # With fewer cores than threads, all waits for its share.
    stretch = max(1.0, capability.threads / cores)
    return PlanNode(
        node_id=node_id,
        layer_s=tuple(None if one is None else one * stretch for one in capability.layer_s),
        stage_s=capability.stage_s * stretch,
        memory_bytes=node.advert.memory_bytes,
        threads=min(float(capability.threads), cores),
        host_id=node.advert.host_id,
        host_cores=cores,
        message_cpu_s=talk.message_cpu_s * HANDLING,
        byte_cpu_s=talk.byte_cpu_s,
        name=node.advert.name,
        unable=refused_sentence(capability),
    )
