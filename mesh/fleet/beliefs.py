"""What the coordinator says that it believes of nodes and links, as its planner takes it and in words; pure.

What is believed, and why, is decided in `mesh.fleet.drift` and `mesh.fleet.link_drift`.
"""

from collections.abc import Mapping

from mesh.fleet.drift import Pace
from mesh.fleet.link_drift import Pair
from mesh.fleet.readings import Condition
from mesh.fleet.reasons import aside, name_in
from mesh.fleet.view import View
from mesh.ids import ModelId, NodeId
from mesh.planning import PlanLink
from mesh.wire.beliefs import LinkPace, NodePace
from mesh.wire.documents import PlansDocument

_MAX_TOLD = 16


def paces_told(document: PlansDocument | None, model_id: ModelId) -> dict[NodeId, Pace]:
    """Who is taken to be slower or faster with the model than it measured."""
    return {
        one.node_id: Pace(
            whole_s=one.whole_s,
            normal_s=one.whole_s / one.slowness,
            benchmark_s=0.0,
            is_trusted=False,
        )
        for one in _nodes(document, model_id)
    }


def drifted_links(document: PlansDocument | None, model_id: ModelId) -> dict[Pair, PlanLink]:
    """The links that are not taken as they are told."""
    return {
        (one.node_id, one.link.peer): PlanLink(
            goodput_bytes_per_s=one.link.goodput_bytes_per_s, message_s=one.link.message_s
        )
        for one in _links(document, model_id)
    }


def in_words(
    document: PlansDocument | None,
    model_id: ModelId,
    view: View,
    conditions: Mapping[NodeId, Condition],
) -> tuple[str, ...]:
    """A sentence for each belief: who, by how much, and why."""
    nodes = [_node(one, view, conditions.get(one.node_id)) for one in _nodes(document, model_id)]
    links = [_link(one, view) for one in _links(document, model_id)]
    return tuple([*nodes, *links][:_MAX_TOLD])


def _nodes(document: PlansDocument | None, model_id: ModelId) -> list[NodePace]:
    told = document.paces if document is not None else ()
    return [one for one in told if one.model_id == model_id and one.whole_s > 0]


def _links(document: PlansDocument | None, model_id: ModelId) -> list[LinkPace]:
    told = document.link_paces if document is not None else ()
    return [one for one in told if one.model_id == model_id]


def _link(pace: LinkPace, view: View) -> str:
    ends = f"{name_in(view, pace.node_id)} → {name_in(view, pace.link.peer)}"
    return f"the link {ends} is taken to be {_how(pace.slowness)}: its probes showed it"


def _node(pace: NodePace, view: View, condition: Condition | None) -> str:
    why = aside(condition) if condition is not None and condition.is_throttled else ""
    shown = why or ": its stages showed it"
    return f"{name_in(view, pace.node_id)} is taken to be {_how(pace.slowness)}{shown}"


def _how(slowness: float) -> str:
    if slowness < 1:
        return f"{1 / slowness:.1f} times faster than first measured"
    return f"{slowness:.1f} times slower than first measured"
