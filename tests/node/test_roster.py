import logging
from dataclasses import dataclass, field, replace

import pytest

from mesh.fleet.lease import Lease
from mesh.fleet.membership import Presence
from mesh.fleet.readings import Condition
from mesh.ids import BootId, NodeId
from mesh.node.loop import Loop
from mesh.node.roster import GRACE_S, Roster, RosterHooks
from mesh.wire import codec
from mesh.wire.documents import (
    Advert,
    Heartbeat,
    HoldingsDocument,
    NodeState,
    Peer,
    PeersDocument,
)
from mesh.wire.topics import Fact, FactTopic

ME, A, B = NodeId("0" * 16), NodeId("a" * 16), NodeId("b" * 16)
URL_A, URL_B, SEED = "mqtt://a:1883", "mqtt://b:1883", "mqtt://seed:1883"
BEAT = Heartbeat(boot_id=BootId("0" * 8), sequence=1, state=NodeState.READY)
ADVERT = Advert(
    node_id=A,
    boot_id=BootId("0" * 8),
    name="a",
    mesh_name="default",
    version="0",
    board="",
    board_label="",
    runtime="fake",
    runtime_version="1",
    kernel_class="k",
    broker_url=URL_A,
    broker_kind="memory",
    http_url="http://a:80",
    host_id="",
    host_cores=1,
    threads=1,
    memory_bytes=0,
)


@dataclass(slots=True)
class Bench:
    """A roster whose clock and connections are the test's."""

    seeds: tuple[str, ...] = ()
    now_s: float = 100.0
    opened: set[str] = field(default_factory=set)
    catalogues: list[tuple[NodeId, bytes]] = field(default_factory=list)
    changes: int = 0
    roster: Roster = field(init=False)

    def __post_init__(self) -> None:
        self.roster = Roster(
            Loop(lambda: self.now_s),
            me=ME,
            mesh_name="default",
            silence_s=4.0,
            seeds=self.seeds,
            hooks=RosterHooks(
                open_peer=self.opened.add,
                close_peer=self.opened.discard,
                catalogue=lambda node_id, payload: self.catalogues.append((node_id, payload)),
                own_word=lambda _topic, _payload: None,
                changed=self.changed,
            ),
        )

    def changed(self) -> None:
        self.changes += 1

    def says(self, node_id: NodeId, fact: Fact, document: object, *, url: str) -> None:
        payload = document if isinstance(document, bytes) else codec.encode(document)
        self.roster.fact(url, FactTopic(node_id=node_id, fact=fact), payload)

    def beats(self, node_id: NodeId, url: str, beat: Heartbeat = BEAT) -> None:
        self.says(node_id, Fact.HEARTBEAT, beat, url=url)

    def with_a(self) -> "Bench":
        self.roster.found(A, URL_A, own_word=True)
        self.beats(A, URL_A)
        return self


def test_a_node_that_was_found_is_connected_and_takes_part_once_it_is_heard() -> None:
    bench = Bench()
    bench.roster.found(A, URL_A, own_word=True)
    bench.roster.connect()
    assert bench.opened == {URL_A}
    assert bench.roster.others == frozenset()
    bench.beats(A, URL_A)
    assert bench.roster.others == {A}
    assert bench.roster.url_of(A) == URL_A
    assert bench.roster.url_of(B) is None


@pytest.mark.parametrize("url", ["garbage", "mqtt://", "http://a:80", "mqtt://a:0", "mqtt://a/b"])
def test_a_broker_that_nobody_can_reach_is_not_taken_in(url: str) -> None:
    """One bad address in gossip, an advert or mDNS would end every review of every node."""
    bench = Bench().with_a()
    peers = PeersDocument(peers=(Peer(node_id=B, broker_url=url),))
    bench.says(A, Fact.PEERS, peers, url=URL_A)
    bench.roster.found(B, url, own_word=True)
    bench.roster.connect()
    assert bench.opened == {URL_A}


def test_this_node_is_present_and_ready_when_it_says_so() -> None:
    bench = Bench().with_a()
    assert bench.roster.present == {ME, A}
    assert bench.roster.ready == {A}
    bench.roster.state = NodeState.READY
    assert bench.roster.ready == {ME, A}
    bench.beats(A, URL_A, replace(BEAT, state=NodeState.DRAINING))
    assert bench.roster.ready == {ME}


def test_nobody_speaks_for_a_node_but_its_own_broker() -> None:
    bench = Bench().with_a()
    bench.beats(A, URL_B, replace(BEAT, state=NodeState.LOST))
    bench.says(A, Fact.HOLDINGS, HoldingsDocument(held=()), url=URL_B)
    assert bench.roster.others == {A}
    assert A not in bench.roster.view


def test_what_comes_back_as_ones_own_is_not_heard() -> None:
    bench = Bench()
    bench.roster.found(ME, URL_A, own_word=True)
    bench.beats(ME, URL_A)
    assert (bench.roster.members, bench.changes) == ({}, 0)


def test_an_advert_at_a_seed_introduces_a_node() -> None:
    bench = Bench(seeds=(SEED,))
    bench.roster.connect()
    assert bench.opened == {SEED}
    bench.says(A, Fact.ADVERT, ADVERT, url=SEED)
    bench.roster.connect()
    assert bench.opened == {SEED, URL_A}
    assert A not in bench.roster.view, "it is believed once its own broker says it"
    bench.says(A, Fact.ADVERT, ADVERT, url=URL_A)
    assert bench.roster.view[A].advert == ADVERT


def test_another_mesh_on_the_same_broker_is_left_alone() -> None:
    bench = Bench()
    bench.says(A, Fact.ADVERT, replace(ADVERT, mesh_name="another"), url=SEED)
    assert bench.roster.members == {}


def test_an_advert_in_anothers_name_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    with caplog.at_level(logging.WARNING, "mesh.roster"):
        bench.says(B, Fact.ADVERT, ADVERT, url=SEED)
    assert bench.roster.members == {}
    assert "another node's topic" in caplog.text


def test_a_present_node_moves_by_its_own_word_at_the_new_place() -> None:
    bench = Bench().with_a()
    bench.says(A, Fact.ADVERT, replace(ADVERT, broker_url=URL_B), url=URL_A)
    assert bench.roster.url_of(A) == URL_A
    bench.says(A, Fact.ADVERT, replace(ADVERT, broker_url=URL_B), url=URL_B)
    assert bench.roster.url_of(A) == URL_B
    assert bench.roster.others == {A}


def test_gossip_names_nodes_and_says_who_hears_whom() -> None:
    bench = Bench().with_a()
    peers = PeersDocument(
        peers=(Peer(node_id=ME, broker_url="mqtt://me:1883"), Peer(node_id=B, broker_url=URL_B))
    )
    bench.says(A, Fact.PEERS, peers, url=URL_A)
    assert bench.roster.members[B].presence is Presence.UNHEARD
    assert bench.roster.hearing_me() == {A}
    assert bench.roster.vouched() == {B}
    assert bench.roster.peers_document() == PeersDocument(
        peers=(Peer(node_id=A, broker_url=URL_A),)
    )


def test_a_broken_connection_costs_presence_after_a_grace() -> None:
    bench = Bench().with_a()
    bench.roster.disconnected(URL_A)
    assert bench.roster.others == {A}
    bench.now_s += GRACE_S * 1.01
    bench.roster.tick()
    assert bench.roster.others == frozenset()


def test_the_leases_of_present_nodes_are_heard() -> None:
    bench = Bench().with_a()
    bench.beats(A, URL_A, replace(BEAT, lease_term=2, lease_holder=A))
    assert bench.roster.leases() == [Lease(term=2, holder=A)]


def test_a_catalogue_is_handed_on() -> None:
    bench = Bench().with_a()
    bench.says(A, Fact.CATALOGUE, b"{}", url=URL_A)
    assert bench.catalogues == [(A, b"{}")]


def test_only_what_matters_is_a_change() -> None:
    bench = Bench().with_a()
    before = bench.changes
    bench.beats(A, URL_A, replace(BEAT, sequence=2, load_1min=3.0, temperature_c=80.0))
    assert bench.changes == before
    bench.beats(A, URL_A, replace(BEAT, sequence=3, lease_term=1, lease_holder=A))
    assert bench.changes == before + 1


def test_a_document_that_is_none_is_dropped_and_the_last_one_stays() -> None:
    bench = Bench().with_a()
    bench.says(A, Fact.HOLDINGS, HoldingsDocument(held=()), url=URL_A)
    bench.says(A, Fact.HOLDINGS, b'{"held": 3}', url=URL_A)
    bench.says(A, Fact.HEARTBEAT, b"", url=URL_A)
    assert bench.roster.view[A].holdings == HoldingsDocument(held=())
    assert bench.roster.others == {A}


def test_a_node_that_is_forgotten_takes_its_word_and_connection_with_it() -> None:
    bench = Bench().with_a()
    bench.says(A, Fact.HOLDINGS, HoldingsDocument(held=()), url=URL_A)
    bench.roster.connect()
    bench.beats(A, URL_A, replace(BEAT, state=NodeState.STOPPED))
    bench.now_s += 10_000
    bench.roster.tick()
    bench.roster.connect()
    assert (bench.opened, dict(bench.roster.view)) == (set(), {})


def test_ones_own_word_is_in_the_same_view() -> None:
    bench = Bench()
    topic = FactTopic(node_id=ME, fact=Fact.HOLDINGS)
    bench.roster.learn_own(topic, codec.encode(HoldingsDocument(held=())))
    bench.roster.connect()
    assert bench.roster.view[ME].holdings == HoldingsDocument(held=())
    assert bench.changes == 1


def test_a_draining_node_is_present_and_may_not_be_given_work() -> None:
    bench = Bench().with_a()
    assert bench.roster.draining == frozenset()
    bench.beats(A, URL_A, replace(BEAT, state=NodeState.DRAINING))
    bench.roster.state = NodeState.DRAINING
    assert bench.roster.draining == bench.roster.present == {A, ME}
    assert bench.roster.ready == frozenset()


def test_how_the_nodes_are_is_known_from_their_heartbeats() -> None:
    bench = Bench().with_a()
    bench.beats(A, URL_A, replace(BEAT, throttled=True, temperature_c=81.0))
    hot = Condition(is_throttled=True, temperature_c=81.0)
    assert bench.roster.conditions() == {A: hot}
    bench.roster.own_heartbeat = BEAT
    assert bench.roster.conditions() == {A: hot, ME: Condition()}
