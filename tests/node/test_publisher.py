from dataclasses import dataclass, field

from mesh.ids import ModelId, NodeId
from mesh.node.publisher import Publisher
from mesh.transport.port import Message
from mesh.wire import codec
from mesh.wire.documents import HoldingsDocument
from mesh.wire.measured import CapabilityDocument, LinksDocument
from mesh.wire.topics import Fact, FactTopic, TopicSpace

ME = NodeId("a" * 16)
MODEL, OTHER_MODEL = ModelId("0" * 64), ModelId("1" * 64)
SPACE = TopicSpace.of("mesh")
NONE_HELD, ONE_HELD = HoldingsDocument(held=()), HoldingsDocument(held=(MODEL,))
LINKS = LinksDocument(links=())


@dataclass(slots=True)
class Surroundings:
    """A broker that may be away, and the node's own view."""

    connected: bool = True
    messages: list[Message] = field(default_factory=list)
    learnt: list[tuple[Fact, bytes]] = field(default_factory=list)

    def publish(self, message: Message) -> bool:
        assert self.learnt, "the node hears its own word first"
        if self.connected:
            self.messages.append(message)
        return self.connected

    def learn(self, topic: FactTopic, payload: bytes) -> None:
        assert topic.node_id == ME
        self.learnt.append((topic.fact, payload))

    def publisher(self) -> Publisher:
        return Publisher(SPACE, me=ME, publish=self.publish, learn=self.learn)

    def retained(self) -> dict[str, bytes]:
        """What a broker would keep of the messages."""
        kept: dict[str, bytes] = {}
        for message in self.messages:
            assert message.retain
            assert message.qos == 1
            kept[message.topic] = message.payload
        return {topic: payload for topic, payload in kept.items() if payload}


def path(fact: Fact, model_id: ModelId | None = None) -> str:
    return SPACE.fact(FactTopic(node_id=ME, fact=fact, model_id=model_id))


def a_capability(model_id: ModelId) -> CapabilityDocument:
    return CapabilityDocument(
        model_id=model_id,
        kernel_class="k",
        threads=1,
        boundaries=(0, 1),
        layer_s=(0.1,),
        stage_s=0.0,
    )


def test_a_document_is_learnt_published_and_retained() -> None:
    around = Surroundings()
    around.publisher().say(Fact.HOLDINGS, ONE_HELD)
    assert around.learnt == [(Fact.HOLDINGS, codec.encode(ONE_HELD))]
    assert around.retained() == {path(Fact.HOLDINGS): codec.encode(ONE_HELD)}


def test_what_did_not_change_is_not_said_again() -> None:
    around = Surroundings()
    publisher = around.publisher()
    for document in (ONE_HELD, ONE_HELD, NONE_HELD, NONE_HELD):
        publisher.say(Fact.HOLDINGS, document)
    assert len(around.messages) == len(around.learnt) == 2


def test_each_model_has_a_capability_of_its_own() -> None:
    around = Surroundings()
    publisher = around.publisher()
    for model_id in (MODEL, OTHER_MODEL):
        publisher.say(Fact.CAPABILITY, a_capability(model_id), model_id=model_id)
    assert publisher.said_models() == {MODEL, OTHER_MODEL}
    publisher.unsay(Fact.CAPABILITY, model_id=MODEL)
    assert publisher.said_models() == {OTHER_MODEL}
    assert around.retained().keys() == {path(Fact.CAPABILITY, OTHER_MODEL)}
    assert around.learnt[-1] == (Fact.CAPABILITY, b"")


def test_taking_back_what_was_never_said_says_nothing() -> None:
    around = Surroundings()
    around.publisher().unsay(Fact.PLANS)
    assert not around.messages
    assert not around.learnt


def test_what_was_said_while_the_broker_was_away_is_said_when_it_is_back_the_advert_first() -> None:
    around = Surroundings(connected=False)
    publisher = around.publisher()
    publisher.say(Fact.LINKS, LINKS)
    publisher.say(Fact.ADVERT, NONE_HELD)
    publisher.say(Fact.HOLDINGS, ONE_HELD)
    around.connected = True
    publisher.say_all()
    assert [message.topic for message in around.messages] == [
        path(Fact.ADVERT),
        path(Fact.LINKS),
        path(Fact.HOLDINGS),
    ]
    assert len(around.learnt) == 3


def test_nothing_is_left_behind() -> None:
    around = Surroundings()
    publisher = around.publisher()
    publisher.say(Fact.LINKS, LINKS)
    publisher.say(Fact.CAPABILITY, a_capability(MODEL), model_id=MODEL)
    publisher.unsay_all()
    assert around.retained() == {}
    publisher.say(Fact.LINKS, LINKS)
    assert around.retained().keys() == {path(Fact.LINKS)}


def test_what_the_broker_took_no_more_of_is_said_again() -> None:
    around = Surroundings()
    publisher = around.publisher()
    publisher.say(Fact.LINKS, LINKS)
    around.connected = False
    publisher.unsay(Fact.LINKS)
    publisher.say(Fact.HOLDINGS, ONE_HELD)
    around.connected = True
    publisher.say_unsent()
    assert around.retained() == {path(Fact.HOLDINGS): codec.encode(ONE_HELD)}
    said = len(around.messages)
    publisher.say_unsent()
    assert len(around.messages) == said


def test_what_somebody_else_wrote_in_its_place_is_said_again() -> None:
    around = Surroundings()
    publisher = around.publisher()
    publisher.say(Fact.LINKS, LINKS)
    ours = around.retained()
    at = FactTopic(node_id=ME, fact=Fact.LINKS)
    publisher.came_back(at, codec.encode(LINKS))
    assert len(around.messages) == 1, "its own echo is no news"
    for forged in (b"", b"{}"):
        publisher.came_back(at, forged)
    assert len(around.messages) == 3
    assert around.retained() == ours


def test_what_an_earlier_life_left_is_cleared() -> None:
    around = Surroundings()
    publisher = around.publisher()
    publisher.say(Fact.LINKS, LINKS)
    left = FactTopic(node_id=ME, fact=Fact.CAPABILITY, model_id=MODEL)
    publisher.came_back(left, b"{}")
    assert around.messages[-1] == Message(
        topic=path(Fact.CAPABILITY, MODEL), payload=b"", qos=1, retain=True
    )
    publisher.came_back(FactTopic(node_id=ME, fact=Fact.HEARTBEAT), b"{}")
    assert len(around.messages) == 2, "a heartbeat passes"
