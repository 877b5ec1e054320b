"""`mesh drain`."""

import json
from collections import deque
from dataclasses import replace
from typing import Any

import pytest

from mesh.cli.drain import GRACE_S, POLL_S, TRIES_PER_NODE
from mesh.errors import UsageError
from mesh.wire.control import DrainReply, DrainRequest, StatusReply, StillHeld, Verb
from mesh.wire.documents import NodeState

LIVE = StillHeld(name="pose", is_live=True, problem=None)
ENDING = StillHeld(name="pose", is_live=False, problem=None)
STUCK = StillHeld(name="pose", is_live=True, problem="no node can run it")
WRONG = UsageError("this is node b, not a")


@pytest.fixture
def node(status: StatusReply) -> Any:
    return status.nodes[0]


def replies(node: Any, *held: tuple[StillHeld, ...]) -> deque[Any]:
    return deque(
        DrainReply(node_id=node.node_id, state=NodeState.DRAINING, held=one) for one in held
    )


def test_it_waits_until_the_node_is_empty(cli: Any, node: Any) -> None:
    cli.mesh.drained = replies(node, (LIVE,), (LIVE,), (ENDING,), ())
    assert cli.run("drain", node.name) == 0
    assert cli.out == (
        f"{node.name} is empty and can be switched off; `mesh undrain {node.name}` has it used again\n"
    )
    assert cli.err == "other nodes get ready for pose\nfinishing what is under way of pose\n"
    request = DrainRequest(node_id=node.node_id)
    assert [one for one in cli.mesh.asked if one[0] is Verb.DRAIN] == [(Verb.DRAIN, request)] * 4
    assert [where.url for where in cli.whereabouts] == [None, node.broker_url]


def test_the_node_may_be_named_by_its_id(cli: Any, node: Any) -> None:
    cli.mesh.drained = replies(node, ())
    assert cli.run("drain", node.node_id) == 0


def test_without_waiting(cli: Any, node: Any) -> None:
    cli.mesh.drained = replies(node, (LIVE,))
    assert cli.run("drain", node.name, "--no-wait") == 0
    assert cli.out == (
        f"{node.name} is draining and still runs pose; `mesh status` shows when not\n"
    )
    assert cli.pauses == []


def test_as_json(cli: Any, node: Any) -> None:
    cli.mesh.drained = replies(node, (LIVE,), ())
    assert cli.run("drain", node.name, "--json") == 0
    assert json.loads(cli.out) == {
        "schema_version": 1,
        "status": "ok",
        "name": node.name,
        "node_id": node.node_id,
        "state": "draining",
        "is_empty": True,
        "held": [],
    }
    assert cli.err == ""


def test_a_model_that_cannot_do_without_the_node_is_told(cli: Any, node: Any) -> None:
    cli.mesh.drained = replies(node, (LIVE,), (STUCK,))
    assert cli.run("drain", node.name) == 6
    assert cli.err.endswith(
        f"mesh: {node.name} is draining, but still runs what no other node can; "
        "pose: no node can run it\n"
    )
    assert sum(cli.pauses) == pytest.approx(GRACE_S, abs=2 * POLL_S)


def test_it_does_not_wait_for_ever(cli: Any, node: Any) -> None:
    cli.mesh.drained = replies(node, (ENDING,))
    assert cli.run("drain", node.name, "--wait", "20") == 5
    assert "after 20 s it still holds pose" in cli.err


def test_an_unknown_node_is_refused_with_those_that_there_are(cli: Any, node: Any) -> None:
    assert cli.run("drain", "pi-x") == 2
    assert f"there is no node 'pi-x'; there are: {node.name}, " in cli.err


def test_a_name_of_two_nodes_is_refused_with_their_ids(
    cli: Any, status: StatusReply, node: Any
) -> None:
    twin = replace(status.nodes[1], name=node.name)
    cli.mesh.statuses = deque([replace(status, nodes=(node, twin))])
    assert cli.run("drain", node.name) == 2
    assert f"give one of their ids, {node.node_id}, {twin.node_id}" in cli.err


def test_a_node_that_is_not_there_cannot_be_told(cli: Any, status: StatusReply, node: Any) -> None:
    cli.mesh.statuses = deque([replace(status, nodes=(replace(node, state="lost"),))])
    assert cli.run("drain", node.name) == 2
    assert f"{node.name} cannot be told now, it is lost" in cli.err


def test_on_a_shared_broker_the_right_node_is_asked_for(
    cli: Any, status: StatusReply, node: Any
) -> None:
    nodes = tuple(replace(one, broker_url=node.broker_url) for one in status.nodes)
    cli.mesh.statuses = deque([replace(status, nodes=nodes)])
    cli.mesh.drained = deque([WRONG, WRONG, *replies(node, ())])
    assert cli.run("drain", node.name) == 0


def test_a_request_that_only_others_hear_is_given_up(cli: Any, node: Any) -> None:
    cli.mesh.drained = deque([WRONG])
    assert cli.run("drain", node.name) == 2
    assert str(WRONG) in cli.err
    drains = [verb for verb, _ in cli.mesh.asked if verb is Verb.DRAIN]
    assert len(drains) == TRIES_PER_NODE
