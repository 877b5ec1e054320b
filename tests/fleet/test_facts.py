from dataclasses import replace

import pytest

from mesh.fleet.facts import (
    INTERPRETER_BYTES,
    Standing,
    known_links,
    nobody_sentence,
    problem_for,
    standing,
    waiting_sentence,
)
from mesh.fleet.view import NodeView, View
from mesh.ids import BootId, ModelId, NodeId
from mesh.planning.pieces import Pieces
from mesh.wire.documents import (
    Advert,
    CapabilityDocument,
    HoldingsDocument,
    Link,
    LinksDocument,
)

A, B, C = (NodeId(letter * 16) for letter in "abc")
MODEL = ModelId("0" * 64)
PIECES = Pieces(
    boundaries=(0, 2, 5), boundary_bytes=(10, 20, 30), weight_bytes=(100, 200), arena_bytes=7
)
CAPABILITY = CapabilityDocument(
    model_id=MODEL,
    kernel_class="k",
    threads=2,
    boundaries=PIECES.boundaries,
    layer_s=(0.1, 0.2),
    stage_s=0.01,
)


def a_node(node_id: NodeId, *peers: NodeId) -> NodeView:
    """A node that is ready for the model and knows its links to these peers."""
    advert = Advert(
        node_id=node_id,
        boot_id=BootId("0" * 8),
        name=f"node {node_id[0]}",
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
    links = [Link(peer=peer, goodput_bytes_per_s=1e6, message_s=0.001) for peer in peers]
    return NodeView(
        advert=advert,
        holdings=HoldingsDocument(held=(MODEL,)),
        capabilities={MODEL: CAPABILITY},
        links=LinksDocument(links=tuple(links)),
    )


def stand(
    view: View, *, need_links: bool = True, barred: dict[NodeId, str] | None = None
) -> Standing:
    return standing(
        view, MODEL, PIECES, ready=view.keys(), barred=barred or {}, need_links=need_links
    )


PAIR: View = {A: a_node(A, B), B: a_node(B, A)}


def test_nodes_that_are_ready_for_the_model_are_eligible() -> None:
    assert stand(PAIR) == Standing(eligible=(A, B), waiting={}, excluded={})


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (NodeView(), "it has not introduced itself"),
        (replace(a_node(B), holdings=None), "it is fetching the model"),
        (replace(a_node(B), holdings=HoldingsDocument(held=())), "it is fetching the model"),
        (replace(a_node(B), capabilities={}), "it is being measured"),
    ],
)
def test_a_node_that_is_not_so_far_is_waited_for(node: NodeView, why: str) -> None:
    for need_links in (True, False):
        stood = stand({A: a_node(A), B: node}, need_links=need_links)
        assert (stood.eligible, dict(stood.waiting)) == ((A,), {B: why})


@pytest.mark.parametrize(
    ("capability", "why"),
    [
        (replace(CAPABILITY, failure="no such operator"), "no such operator"),
        (replace(CAPABILITY, boundaries=(0, 3, 5)), "cuts models elsewhere"),
    ],
)
def test_a_node_that_cannot_run_the_model_is_excluded(
    capability: CapabilityDocument, why: str
) -> None:
    unable = replace(a_node(B), capabilities={MODEL: capability})
    stood = stand({A: a_node(A), B: unable})
    assert stood.eligible == (A,)
    assert why in stood.excluded[B]


def test_a_barred_node_is_excluded_in_the_words_of_its_failure() -> None:
    stood = stand(PAIR, barred={B: "its interpreter died"})
    assert (stood.eligible, dict(stood.excluded)) == ((A,), {B: "its interpreter died"})


def test_a_node_that_nobody_has_a_view_of_is_waited_for() -> None:
    stood = standing({}, MODEL, PIECES, ready=[A], barred={}, need_links=True)
    assert stood.waiting == {A: "it has not introduced itself"}


def test_links_that_are_not_known_yet_are_waited_for_if_needed() -> None:
    view = {A: a_node(A, B, C), B: a_node(B, A), C: a_node(C, A, B)}
    assert dict(stand(view).waiting) == {B: "its links are being measured"}
    assert stand(view, need_links=False).eligible == (A, B, C)


def test_known_links_are_those_among_the_nodes_asked_for() -> None:
    view = {A: a_node(A, A, B, C), B: a_node(B, A)}
    assert known_links(view, [A, B]).keys() == {(A, B), (B, A)}
    assert known_links(view, [A, C]).keys() == {(A, C)}


def test_the_question_for_the_planner() -> None:
    problem = problem_for(PAIR, MODEL, PIECES, eligible=(B, A), gateway=A, min_stages=1)
    assert [node.node_id for node in problem.nodes] == [A, B]
    node = problem.nodes[0]
    assert (node.layer_s, node.stage_s, node.threads) == ((0.1, 0.2), 0.01, 2)
    assert (node.memory_bytes, node.host_id, node.host_cores) == (1000, "host", 4)
    assert problem.label(A) == "node a"
    assert problem.boundary_bytes == PIECES.boundary_bytes
    assert problem.layer_memory_bytes == PIECES.weight_bytes
    assert problem.stage_memory_bytes == PIECES.arena_bytes + INTERPRETER_BYTES
    assert problem.gateway == A
    assert problem.links.keys() == {(A, B), (B, A)}


def test_the_gateway_has_links_also_when_it_takes_no_part() -> None:
    view = {A: a_node(A, B), B: a_node(B, A)}
    problem = problem_for(view, MODEL, PIECES, eligible=(B,), gateway=A, min_stages=1)
    assert problem.links.keys() == {(A, B), (B, A)}


@pytest.mark.parametrize(("wish", "granted"), [(0, 1), (1, 1), (2, 2), (9, 2)])
def test_a_split_asked_for_is_made_as_wide_as_nodes_and_cuts_allow(wish: int, granted: int) -> None:
    problem = problem_for(PAIR, MODEL, PIECES, eligible=(A, B), gateway=A, min_stages=wish)
    assert problem.min_stages == granted


def test_sentences_name_nodes_and_reasons() -> None:
    who = Standing(eligible=(), waiting={B: "it waits"}, excluded={A: "it cannot", C: "who?"})
    assert waiting_sentence(PAIR, who) == "not planned yet: node b: it waits"
    sentence = f"no node can run it: node a: it cannot; node b: it waits; {C}: who?"
    assert nobody_sentence(PAIR, who) == sentence
    nobody = Standing(eligible=(), waiting={}, excluded={})
    assert nobody_sentence(PAIR, nobody) == "no node is ready"
