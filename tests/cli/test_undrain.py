"""`mesh undrain`."""

import json
from typing import Any

import pytest

from mesh.wire.control import DrainReply, DrainRequest, StatusReply, Verb
from mesh.wire.documents import NodeState


@pytest.fixture
def node(cli: Any, status: StatusReply) -> Any:
    node = status.nodes[0]
    cli.mesh.drained.append(DrainReply(node_id=node.node_id, state=NodeState.READY, held=()))
    return node


def test_as_text(cli: Any, node: Any) -> None:
    assert cli.run("undrain", node.name) == 0
    assert cli.out == f"{node.name} may be used again\n"
    assert cli.mesh.asked[-1] == (Verb.DRAIN, DrainRequest(node_id=node.node_id, undo=True))
    assert cli.whereabouts[-1].url == node.broker_url


def test_as_json(cli: Any, node: Any) -> None:
    assert cli.run("undrain", node.name, "--json") == 0
    told = json.loads(cli.out)
    assert (told["name"], told["state"]) == (node.name, "ready")
