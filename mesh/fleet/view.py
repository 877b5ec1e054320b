"""What this node has been told by all nodes, itself included: a fold over their documents."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mesh.ids import ModelId, NodeId
from mesh.wire import codec
from mesh.wire.documents import (
    MAX_DOCUMENT_BYTES,
    Advert,
    HoldingsDocument,
    PeersDocument,
    PlansDocument,
    StagesDocument,
)
from mesh.wire.measured import CapabilityDocument, LinksDocument
from mesh.wire.topics import Fact, FactTopic

MAX_NODES = 256
MAX_MODELS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """The last word of one node on each subject; None where it has not spoken."""

    advert: Advert | None = None
    peers: PeersDocument | None = None
    holdings: HoldingsDocument | None = None
    capabilities: Mapping[ModelId, CapabilityDocument] = field(default_factory=dict)
    links: LinksDocument | None = None
    stages: StagesDocument | None = None
    plans: PlansDocument | None = None


View = Mapping[NodeId, NodeView]

_KINDS: Mapping[Fact, tuple[str, type[Any]]] = {
    Fact.ADVERT: ("advert", Advert),
    Fact.PEERS: ("peers", PeersDocument),
    Fact.HOLDINGS: ("holdings", HoldingsDocument),
    Fact.LINKS: ("links", LinksDocument),
    Fact.STAGES: ("stages", StagesDocument),
    Fact.PLANS: ("plans", PlansDocument),
}


def learn(view: View, topic: FactTopic, payload: bytes) -> View:
    """The view after a document arrived; an empty payload takes it back (MQTT 5, 3.3.1.3).

    A view is bounded: nodes and models past the limits are not taken in. Raises: RemoteError.
    """
    if topic.fact in (Fact.HEARTBEAT, Fact.CATALOGUE):
        return view  # the business of membership and of the store
    if topic.fact is Fact.ADVERT and not payload:
        return view  # it left: until it is forgotten it still has a name
    if topic.node_id not in view and len(view) >= MAX_NODES:
        return view
    node = view.get(topic.node_id, NodeView())
    if topic.fact is Fact.CAPABILITY:
        node = _learn_capability(node, topic.model_id, payload)
    else:
        name, kind = _KINDS[topic.fact]
        value: Any = codec.decode(kind, payload, max_bytes=MAX_DOCUMENT_BYTES) if payload else None
        if isinstance(value, Advert) and _is_reborn(node.advert, value):
            node = NodeView()  # what it said in an earlier life is over
        node = replace(node, **{name: value})
    return {**view, topic.node_id: node}


def sources(
    view: View, present: Collection[NodeId], model_id: ModelId, me: NodeId
) -> dict[str, str]:
    """The HTTP addresses of the other present nodes that hold the model, by the nodes' names and ids."""
    return {
        f"{node.advert.name} ({node_id})": node.advert.http_url
        for node_id, node in sorted(view.items())
        if node_id != me
        and node_id in present
        and node.advert is not None
        and node.holdings is not None
        and model_id in node.holdings.held
    }


def forget(view: View, node_id: NodeId) -> View:
    """The view without a node that is gone for good."""
    return {other: node for other, node in view.items() if other != node_id}


def _is_reborn(old: Advert | None, new: Advert) -> bool:
    return old is not None and old.boot_id != new.boot_id


def _learn_capability(node: NodeView, model_id: ModelId | None, payload: bytes) -> NodeView:
    known = {other: one for other, one in node.capabilities.items() if other != model_id}
    if payload and model_id is not None and len(known) < MAX_MODELS:
        capability = codec.decode(CapabilityDocument, payload, max_bytes=MAX_DOCUMENT_BYTES)
        known[model_id] = capability
    return replace(node, capabilities=known)
