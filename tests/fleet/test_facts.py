from dataclasses import replace

import pytest

from mesh.fleet.facts import (
    HANDLING,
    INTERPRETER_BYTES,
    LEAST_CORES,
    REQUEST_MESSAGES,
    Standing,
    are_neighbours,
    known_links,
    nobody_sentence,
    plan_node,
    problem_for,
    refused_sentence,
    standing,
    waiting_sentence,
    without_bytes,
)
from mesh.fleet.view import NodeView, View
from mesh.ids import ModelId, NodeId
from mesh.planning import PlanLink
from mesh.planning.pieces import PieceMemory, Pieces
from mesh.planning.problem import Objective
from mesh.planning.wishes import Wishes
from mesh.testing.documents import sample_advert
from mesh.wire.documents import HoldingsDocument
from mesh.wire.measured import CapabilityDocument, Link, LinksDocument, RefusedLayers

A, B, C = (NodeId(letter * 16) for letter in "abc")
MODEL = ModelId("0" * 64)
PIECES = Pieces(
    boundaries=(0, 2, 5),
    boundary_bytes=(10, 20, 30),
    memory={
        "litert": PieceMemory(piece_bytes=(100, 200), stage_bytes=7),
        "tflite": PieceMemory(piece_bytes=(300, 150), stage_bytes=9),
    },
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
    advert = sample_advert(node_id, name=f"node {node_id[0]}")
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


LACKS = "tflite 2.14.0 lacks FULLY_CONNECTED version 12"


def test_layers_that_a_runtime_cannot_load_stay_without_a_time_and_with_the_reason() -> None:
    refused = (RefusedLayers(start=2, stop=5, reason=LACKS),)
    limited = replace(CAPABILITY, layer_s=(0.1, None), refused=refused)
    view = {A: a_node(A, B), B: replace(a_node(B, A), capabilities={MODEL: limited})}
    problem = problem_for(view, MODEL, PIECES, eligible=(A, B), gateway=A, wishes=Wishes())
    able, unable = problem.nodes
    assert (able.layer_s, able.unable) == ((0.1, 0.2), "")
    assert (unable.layer_s, unable.unable) == ((0.1, None), f"{LACKS} (layers 2–4)")


@pytest.mark.parametrize(
    ("refused", "sentence"),
    [
        ((), "its runtime cannot load every layer"),
        ((RefusedLayers(start=3, stop=4, reason=LACKS),), f"{LACKS} (layer 3)"),
        (
            (
                RefusedLayers(start=3, stop=5, reason=LACKS),
                RefusedLayers(start=6, stop=7, reason="the interpreter refuses it"),
                RefusedLayers(start=9, stop=11, reason=LACKS),
            ),
            f"{LACKS} (layers 3–4, 9–10); the interpreter refuses it (layer 6)",
        ),
        (
            tuple(RefusedLayers(start=n, stop=n + 1, reason=LACKS) for n in range(0, 12, 2)),
            f"{LACKS} (layers 0, 2, 4, 6, and 2 more)",
        ),
    ],
)
def test_what_a_node_lacks_is_one_sentence(
    refused: tuple[RefusedLayers, ...], sentence: str
) -> None:
    assert refused_sentence(replace(CAPABILITY, layer_s=(None, 0.2), refused=refused)) == sentence
    assert refused_sentence(replace(CAPABILITY, refused=refused)) == ""


def test_a_node_that_can_load_nothing_is_excluded_in_the_words_of_its_runtime() -> None:
    refused = (RefusedLayers(start=0, stop=5, reason=LACKS),)
    nothing = replace(CAPABILITY, layer_s=(None, None), refused=refused)
    stood = stand({A: a_node(A), B: replace(a_node(B), capabilities={MODEL: nothing})})
    assert dict(stood.excluded) == {B: f"{LACKS} (layers 0–4)"}


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
    problem = problem_for(PAIR, MODEL, PIECES, eligible=(B, A), gateway=A, wishes=Wishes())
    assert [node.node_id for node in problem.nodes] == [A, B]
    node = problem.nodes[0]
    assert (node.layer_s, node.stage_s, node.threads) == ((0.1, 0.2), 0.01, 2)
    assert (node.memory_bytes, node.host_id, node.host_cores) == (1000, "host", 4)
    assert problem.label(A) == "node a"
    assert problem.boundary_bytes == PIECES.boundary_bytes
    assert list(problem.layer_memory_bytes) == [100, 200]
    assert problem.stage_memory_bytes == 7 + INTERPRETER_BYTES
    assert list(problem.receive_memory_bytes) == [20, 40, 60]
    assert list(problem.send_memory_bytes) == [20, 40, 60]
    assert problem.gateway == A
    assert problem.links.keys() == {(A, B), (B, A)}


def test_memory_is_enough_in_every_runtime_that_takes_part() -> None:
    other = a_node(B, A)
    assert other.advert is not None
    view = {A: a_node(A, B), B: replace(other, advert=replace(other.advert, runtime="tflite"))}
    problem = problem_for(view, MODEL, PIECES, eligible=(A, B), gateway=A, wishes=Wishes())
    assert list(problem.layer_memory_bytes) == [300, 200]
    assert problem.stage_memory_bytes == 9 + INTERPRETER_BYTES


def test_the_gateway_has_links_also_when_it_takes_no_part() -> None:
    view = {A: a_node(A, B), B: a_node(B, A)}
    problem = problem_for(view, MODEL, PIECES, eligible=(B,), gateway=A, wishes=Wishes())
    assert problem.links.keys() == {(A, B), (B, A)}


@pytest.mark.parametrize(("wish", "granted"), [(1, 1), (2, 2), (9, 2)])
def test_a_split_asked_for_is_made_as_wide_as_nodes_and_cuts_allow(wish: int, granted: int) -> None:
    problem = problem_for(
        PAIR, MODEL, PIECES, eligible=(A, B), gateway=A, wishes=Wishes(min_stages=wish)
    )
    assert problem.min_stages == granted


def test_wishes_become_constraints() -> None:
    view = {**PAIR, B: replace(PAIR[B], advert=sample_advert(B, owner="ann"))}
    wishes = Wishes(
        max_replicas=1,
        latency_bound_s=0.5,
        objective=Objective.LATENCY,
        must=(A,),
        private_layers=3,
        owner="ann",
    )
    problem = problem_for(view, MODEL, PIECES, eligible=(A, B), gateway=A, wishes=wishes)
    assert (problem.max_replicas, problem.latency_bound_s) == (1, 0.5)
    assert problem.objective is Objective.LATENCY
    assert problem.required == {A}
    assert problem.private_nodes == {B}


@pytest.mark.parametrize(("operators", "pieces"), [(0, 0), (1, 1), (2, 1), (3, 2), (5, 2), (9, 2)])
def test_a_piece_with_a_private_layer_is_private(operators: int, pieces: int) -> None:
    wishes = Wishes(private_layers=operators)
    problem = problem_for(PAIR, MODEL, PIECES, eligible=(A, B), gateway=A, wishes=wishes)
    assert problem.private_layers == pieces
    assert problem.private_nodes == frozenset()  # nobody belongs to nobody


def test_draining_nodes_and_those_never_to_be_used_are_left_out() -> None:
    wishes = Wishes(never=(B,))
    view = {**PAIR, C: a_node(C, A, B)}
    who = standing(
        view,
        MODEL,
        PIECES,
        ready=(A, B),
        barred={},
        need_links=False,
        wishes=wishes,
        draining=(C,),
    )
    assert who.eligible == (A,)
    assert who.excluded == {B: "the model is never to run there", C: "it is draining"}
    problem = problem_for(
        view, MODEL, PIECES, eligible=(A, B, C), gateway=A, wishes=wishes, draining=(C,)
    )
    assert [node.node_id for node in problem.nodes] == [A]


def test_sentences_name_nodes_and_reasons() -> None:
    who = Standing(eligible=(), waiting={B: "it waits"}, excluded={A: "it cannot", C: "who?"})
    assert waiting_sentence(PAIR, who) == "not planned yet: node b: it waits"
    sentence = f"not planned yet: node a: it cannot; node b: it waits; {C}: who?"
    assert nobody_sentence(PAIR, who) == sentence
    hopeless = Standing(eligible=(), waiting={}, excluded={A: "it cannot"})
    assert nobody_sentence(PAIR, hopeless) == "no node can run it: node a: it cannot"
    nobody = Standing(eligible=(), waiting={}, excluded={})
    assert nobody_sentence(PAIR, nobody) == "no node is ready"


def with_cores(cores: float, *, background_cores: float = 0.0) -> NodeView:
    node, links = (
        a_node(A),
        LinksDocument(
            links=(), message_cpu_s=0.001, byte_cpu_s=1e-9, background_cores=background_cores
        ),
    )
    assert node.advert is not None
    return replace(node, advert=replace(node.advert, host_cores=cores), links=links)


def test_with_less_than_a_core_all_lasts_longer_and_less_than_a_core_is_busy() -> None:
    node = plan_node(with_cores(0.25, background_cores=0.05), A, MODEL)
    assert node.host_cores == pytest.approx(0.2)
    assert node.threads == pytest.approx(0.2)
    core_s = [one and one * node.threads for one in node.layer_s]
    assert core_s == [one and pytest.approx(one * CAPABILITY.threads) for one in CAPABILITY.layer_s]
    assert node.stage_s * node.threads == pytest.approx(CAPABILITY.stage_s * CAPABILITY.threads)


def test_a_node_busy_with_itself_is_slow_not_impossible() -> None:
    assert plan_node(with_cores(0.1, background_cores=0.5), A, MODEL).host_cores == LEAST_CORES


def test_a_request_costs_its_gateway_messages_and_their_bytes() -> None:
    view = {**PAIR, A: with_cores(1.0)}
    problem = problem_for(view, MODEL, PIECES, eligible=(A, B), gateway=A, wishes=Wishes())
    asked = problem.gateway_request_cpu_s
    assert asked == pytest.approx(REQUEST_MESSAGES * 0.001 + (10 + 30) * 1e-9)
    assert problem.nodes[0].message_cpu_s == pytest.approx(HANDLING * 0.001)
    nobody = problem_for(PAIR, MODEL, PIECES, eligible=(A, B), gateway=C, wishes=Wishes())
    assert nobody.gateway_request_cpu_s == 0


@pytest.mark.parametrize(
    ("nodes", "asked", "most"), [(64, None, None), (65, None, 64), (65, 70, 64), (65, 3, 3)]
)
def test_a_stage_gets_no_more_nodes_than_a_plan_can_name(
    nodes: int, asked: int | None, most: int | None
) -> None:
    ids = [NodeId(f"{number:016x}") for number in range(nodes)]
    problem = problem_for(
        {node_id: a_node(node_id) for node_id in ids},
        MODEL,
        PIECES,
        eligible=ids,
        gateway=ids[0],
        wishes=Wishes(max_replicas=asked),
    )
    assert problem.max_replicas == most


def test_links_that_drifted_are_planned_with_as_they_are_believed() -> None:
    view: View = {A: a_node(A, B), B: a_node(B, A)}
    slow = PlanLink(goodput_bytes_per_s=1.0, message_s=9.0)
    problem = problem_for(
        view,
        MODEL,
        PIECES,
        eligible=(A, B),
        gateway=A,
        wishes=Wishes(),
        drifted={(A, B): slow, (A, C): slow},
    )
    assert problem.links[A, B] == slow
    assert problem.links[B, A] != slow
    assert (A, C) not in problem.links, "nobody measured it"


def test_what_is_taken_on_a_node_is_no_room() -> None:
    view: View = {A: a_node(A, B), B: a_node(B, A)}
    problem = problem_for(view, MODEL, PIECES, eligible=(A, B), gateway=A, wishes=Wishes())
    roomy = without_bytes(problem, {A: 10, B: 1 << 60})
    assert roomy is not None
    rooms = [node.memory_bytes for node in roomy.nodes]
    assert rooms == [problem.nodes[0].memory_bytes - 10, 0]
    assert without_bytes(problem, {}) is None


def test_nodes_of_one_machine_are_neighbours() -> None:
    one, other = (NodeView(advert=sample_advert(n, host_id="h")) for n in (A, B))
    alone = NodeView(advert=sample_advert(C, host_id=""))
    view: View = {A: one, B: other, C: alone}
    assert are_neighbours(view, A, B)
    assert not are_neighbours(view, A, C)
    assert not are_neighbours({C: alone}, C, A)
