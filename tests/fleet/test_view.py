from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import RemoteError
from mesh.fleet.view import MAX_MODELS, MAX_NODES, NodeView, View, forget, learn, sources
from mesh.ids import BootId, Epoch, ModelId, NodeId, PlanId
from mesh.testing.documents import sample_advert
from mesh.wire.codec import encode
from mesh.wire.documents import (
    HoldingsDocument,
    Peer,
    PeersDocument,
    PlansDocument,
    StagesDocument,
    StageState,
    StageStatus,
)
from mesh.wire.measured import CapabilityDocument, Link, LinksDocument
from mesh.wire.topics import Fact, FactTopic

A, B = NodeId("a" * 16), NodeId("b" * 16)
MODEL = ModelId("0" * 64)
ADVERT = sample_advert(A, boot_id=BootId("1" * 8), name="a", host_id="a", memory_bytes=1 << 30)
HOLDINGS = HoldingsDocument(held=(MODEL,))
STATUS = StageStatus(
    plan_id=PlanId("0" * 16), epoch=Epoch(1), model_id=MODEL, stage=0, state=StageState.READY
)
BY_FACT: dict[Fact, Any] = {
    Fact.ADVERT: ADVERT,
    Fact.PEERS: PeersDocument(peers=(Peer(node_id=B, broker_url="mqtt://b:1883"),)),
    Fact.HOLDINGS: HOLDINGS,
    Fact.LINKS: LinksDocument(links=(Link(peer=B, goodput_bytes_per_s=1e8, message_s=1e-3),)),
    Fact.STAGES: StagesDocument(stages=(STATUS,)),
    Fact.PLANS: PlansDocument(lease_term=1, plans=()),
}


def capability(model_id: ModelId = MODEL) -> CapabilityDocument:
    return CapabilityDocument(
        model_id=model_id,
        kernel_class="k",
        threads=1,
        boundaries=(0, 3),
        layer_s=(0.1,),
        stage_s=0.0,
    )


def topic(fact: Fact, node_id: NodeId = A, model_id: ModelId | None = None) -> FactTopic:
    return FactTopic(node_id=node_id, fact=fact, model_id=model_id)


def told(*facts: Fact, view: View | None = None) -> View:
    view = view or {}
    for fact in facts:
        view = learn(view, topic(fact), encode(BY_FACT[fact]))
    return view


@pytest.mark.parametrize("fact", BY_FACT)
def test_a_document_is_learnt_and_taken_back(fact: Fact) -> None:
    view = told(fact)
    assert getattr(view[A], fact.value) == BY_FACT[fact]
    left = view[A] if fact is Fact.ADVERT else NodeView()  # who left is still named
    assert learn(view, topic(fact), b"")[A] == left


def test_every_fact_about_a_node_has_its_place() -> None:
    beside = {Fact.HEARTBEAT, Fact.CATALOGUE, Fact.CAPABILITY}
    assert set(Fact) == set(BY_FACT) | beside


@pytest.mark.parametrize("fact", [Fact.HEARTBEAT, Fact.CATALOGUE])
def test_what_others_take_care_of_is_left_alone(fact: Fact) -> None:
    assert learn({}, topic(fact), b"anything") == {}


def test_capabilities_are_kept_by_model() -> None:
    at = topic(Fact.CAPABILITY, model_id=MODEL)
    view = learn(told(Fact.HOLDINGS), at, encode(capability()))
    assert view[A].capabilities == {MODEL: capability()}
    assert view[A].holdings == HOLDINGS
    assert learn(view, at, b"")[A].capabilities == {}


def test_one_node_says_nothing_of_another() -> None:
    view = learn(told(Fact.HOLDINGS), topic(Fact.LINKS, B), encode(BY_FACT[Fact.LINKS]))
    assert view[A] == NodeView(holdings=HOLDINGS)
    assert view[B] == NodeView(links=BY_FACT[Fact.LINKS])
    assert forget(view, B) == {A: view[A]}


def test_a_new_life_ends_what_was_said_in_the_old() -> None:
    view = told(Fact.ADVERT, Fact.HOLDINGS, Fact.STAGES)
    reborn = replace(ADVERT, boot_id=BootId("2" * 8))
    assert learn(view, topic(Fact.ADVERT), encode(reborn))[A] == NodeView(advert=reborn)


def test_the_same_advert_again_ends_nothing() -> None:
    view = told(Fact.ADVERT, Fact.HOLDINGS)
    assert told(Fact.ADVERT, view=view) == view


def test_a_view_is_a_value() -> None:
    before = told(Fact.ADVERT)
    told(Fact.HOLDINGS, view=before)
    assert before == told(Fact.ADVERT)


def test_the_number_of_nodes_is_bounded() -> None:
    view: View = {}
    for i in range(MAX_NODES + 3):
        view = learn(view, topic(Fact.HOLDINGS, NodeId(f"{i:016x}")), encode(HOLDINGS))
    assert len(view) == MAX_NODES
    known = NodeId(f"{0:016x}")
    assert learn(view, topic(Fact.HOLDINGS, known), b"")[known].holdings is None


def test_the_number_of_models_of_a_node_is_bounded() -> None:
    view: View = {}
    for i in range(MAX_MODELS + 3):
        model_id = ModelId(f"{i:064x}")
        at = topic(Fact.CAPABILITY, model_id=model_id)
        view = learn(view, at, encode(capability(model_id)))
    assert len(view[A].capabilities) == MAX_MODELS


@given(fact=st.sampled_from([*BY_FACT, Fact.CAPABILITY]), payload=st.binary(min_size=1))
def test_a_payload_that_is_no_document_changes_nothing(fact: Fact, payload: bytes) -> None:
    model_id = MODEL if fact is Fact.CAPABILITY else None
    with pytest.raises(RemoteError):
        learn(told(Fact.ADVERT), topic(fact, model_id=model_id), payload)


@given(st.lists(st.tuples(st.sampled_from(list(BY_FACT)), st.booleans()), max_size=12))
def test_only_the_last_word_on_each_subject_counts(words: list[tuple[Fact, bool]]) -> None:
    view: View = {A: NodeView()}
    for fact, is_said in words:
        view = learn(view, topic(fact), encode(BY_FACT[fact]) if is_said else b"")
    last = dict(words)
    for fact, document in BY_FACT.items():
        # A node that took its advert back has left, and is still named until it is forgotten.
        stays = fact is Fact.ADVERT and (fact, True) in words
        assert getattr(view[A], fact.value) == (document if last.get(fact) or stays else None)


def test_those_who_hold_a_model_are_asked_for_it() -> None:
    view = told(Fact.ADVERT, Fact.HOLDINGS)
    assert sources(view, {A}, MODEL, B) == {f"a ({A})": "http://a:80"}
    assert sources(view, {A}, ModelId("1" * 64), B) == {}
    assert sources(view, {B}, MODEL, B) == {}
    assert sources(view, {A}, MODEL, A) == {}
    assert sources(told(Fact.HOLDINGS), {A}, MODEL, B) == {}
