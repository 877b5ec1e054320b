from mesh.fleet.beliefs import drifted_links, in_words, paces_told
from mesh.fleet.readings import Condition
from mesh.fleet.view import NodeView, View
from mesh.ids import ModelId, NodeId
from mesh.planning import PlanLink
from mesh.testing.documents import sample_advert
from mesh.wire.beliefs import LinkPace, NodePace
from mesh.wire.documents import PlansDocument
from mesh.wire.measured import Link

A, B = (NodeId(letter * 16) for letter in "ab")
MODEL, OTHER = ModelId("0" * 64), ModelId("1" * 64)
VIEW: View = {A: NodeView(advert=sample_advert(A, name="node-1"))}
TOLD = PlansDocument(
    lease_term=1,
    plans=(),
    paces=(
        NodePace(model_id=MODEL, node_id=A, slowness=3.0, whole_s=0.6),
        NodePace(model_id=MODEL, node_id=B, slowness=0.5, whole_s=0.1),
        NodePace(model_id=MODEL, node_id=NodeId("c" * 16), slowness=2.0),
        NodePace(model_id=OTHER, node_id=A, slowness=9.0, whole_s=9.0),
    ),
)


def test_a_told_pace_corrects_whatever_the_node_measured() -> None:
    paces = paces_told(TOLD, MODEL)
    assert paces.keys() == {A, B}, "an older version does not tell how long it takes"
    assert (paces[A].factor(0.2), paces[A].factor(0.6)) == (0.6 / 0.2, 1.0)
    assert abs(paces[A].slowness - 3.0) < 1e-9
    assert paces_told(None, MODEL) == {}


def test_each_belief_is_told_with_its_reason() -> None:
    hot = {A: Condition(is_throttled=True, temperature_c=82.0)}
    assert in_words(TOLD, MODEL, VIEW, hot) == (
        "node-1 is taken to be 3.0 times slower than first measured (throttled, 82 °C)",
        f"{B} is taken to be 2.0 times faster than first measured: its stages showed it",
    )
    cool = {A: Condition(temperature_c=40.0)}
    assert "its stages showed it" in in_words(TOLD, MODEL, VIEW, cool)[0]


def test_links_that_drifted_are_told_and_planned_with() -> None:
    link = Link(peer=B, goodput_bytes_per_s=1e6, message_s=0.01)
    told = PlansDocument(
        lease_term=1,
        plans=(),
        link_paces=(LinkPace(model_id=MODEL, node_id=A, link=link, slowness=3.1),),
    )
    assert drifted_links(told, MODEL) == {(A, B): PlanLink(goodput_bytes_per_s=1e6, message_s=0.01)}
    assert drifted_links(told, OTHER) == drifted_links(None, MODEL) == {}
    (sentence,) = in_words(told, MODEL, VIEW, {})
    assert sentence == (
        f"the link node-1 → {B} is taken to be 3.1 times slower than first measured: "
        "its probes showed it"
    )
