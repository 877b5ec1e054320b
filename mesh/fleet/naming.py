"""Which node a word means, a name or an id, and wishes with ids for words; nothing is planned here."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mesh.errors import UsageError
from mesh.fleet.view import View
from mesh.ids import NodeId
from mesh.planning.wishes import Wishes

MAX_LISTED = 16
"""How many nodes are told of where a word means none."""


def node_named(view: View, word: str) -> NodeId:
    """The node of this name or id. Raises: UsageError naming the nodes that there are."""
    found = [node_id for node_id, name in _names(view) if word in (node_id, name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{len(found)} nodes are called {word!r}: give one of their ids, {_listed(found)}"
        )
    names = [f"{name} ({node_id})" for node_id, name in _names(view)]
    raise UsageError(f"there is no node {word!r}; there are: {_listed(names) or 'none yet'}")


def with_ids(wishes: Wishes, view: View, *, asked: NodeId) -> Wishes:
    """Wishes as a manifest holds them; private layers of no owner are the asked node's. Raises: UsageError."""
    owner = wishes.owner or (_owner(view, asked) if wishes.private_layers else "")
    if wishes.private_layers and not owner:
        raise UsageError(
            "private layers run only on nodes of their owner, and the node that was asked has none: "
            "start your nodes with `mesh node --owner NAME`"
        )
    try:
        return replace(
            wishes, must=_ids(view, wishes.must), never=_ids(view, wishes.never), owner=owner
        )
    except ValueError as error:  # one node is in both, by its name and by its id
        raise UsageError(str(error)) from error


def _owner(view: View, node_id: NodeId) -> str:
    advert = view[node_id].advert if node_id in view else None
    return advert.owner if advert is not None else ""


def _ids(view: View, words: Iterable[str]) -> tuple[NodeId, ...]:
    return tuple(sorted({node_named(view, word) for word in words}))


def _names(view: View) -> list[tuple[NodeId, str]]:
    """Each node's id and name, by name; a node that has not introduced itself is called by its id."""
    named = [
        (node_id, node.advert.name if node.advert is not None else node_id)
        for node_id, node in view.items()
    ]
    return sorted(named, key=lambda one: (one[1], one[0]))


def _listed(words: Sequence[str]) -> str:
    more = [f"and {len(words) - MAX_LISTED} more"] if len(words) > MAX_LISTED else []
    return ", ".join([*words[:MAX_LISTED], *more])
