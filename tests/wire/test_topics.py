import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesh.errors import BadTopicError
from mesh.ids import ModelId, NodeId
from mesh.transport.filters import check_topic
from mesh.wire.topics import (
    MAX_TOPIC_BYTES,
    Fact,
    FactTopic,
    FrameTopic,
    Lane,
    RequestTopic,
    Service,
    Topic,
    TopicSpace,
)

SPACE = TopicSpace.of("mesh")
NODE = NodeId("0123456789abcdef")
MODEL = ModelId("0123456789abcdef" * 4)

node_ids = st.text("0123456789abcdef", min_size=16, max_size=16).map(NodeId)
model_ids = st.text("0123456789abcdef", min_size=64, max_size=64).map(ModelId)
names = st.text("abcXYZ019_.:-", min_size=1, max_size=64)
plain_facts = st.sampled_from([fact for fact in Fact if fact is not Fact.CAPABILITY])
fact_topics = st.builds(FactTopic, node_id=node_ids, fact=plain_facts) | st.builds(
    FactTopic, node_id=node_ids, fact=st.just(Fact.CAPABILITY), model_id=model_ids
)
frame_topics = st.builds(FrameTopic, node_id=node_ids, lane=st.sampled_from(Lane))
request_topics = st.builds(
    RequestTopic,
    service=st.sampled_from(Service),
    target=names,
    reply_id=st.none() | names | st.builds("{}/{}".format, names, names),
)
spaces = st.sampled_from(["mesh", "home/lab", "a.b/c-d/e_f/9"]).map(TopicSpace.of)


def text_of(space: TopicSpace, topic: Topic) -> str:
    if isinstance(topic, FactTopic):
        return space.fact(topic)
    if isinstance(topic, FrameTopic):
        return space.frame(topic.node_id, topic.lane)
    return space.request(topic)


def matches(topic_filter: str, topic: str) -> bool:
    """MQTT 5, 4.7: enough of it for the filters of the mesh."""
    wanted, given_levels = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        return matches("/".join(wanted[:-1]), "/".join(given_levels[: len(wanted) - 1]))
    pairs = zip(wanted, given_levels, strict=False)
    return len(wanted) == len(given_levels) and all(one in ("+", other) for one, other in pairs)


@given(spaces, fact_topics | frame_topics | request_topics)
def test_what_is_made_is_understood(space: TopicSpace, topic: Topic) -> None:
    assert space.parse(text_of(space, topic)) == topic


@given(fact_topics | frame_topics | request_topics)
def test_the_filters_divide_the_topics(topic: Topic) -> None:
    text = text_of(SPACE, topic)
    assert matches(SPACE.all_facts(), text) is isinstance(topic, FactTopic)
    assert matches(SPACE.all_requests(shared=False), text) is isinstance(topic, RequestTopic)
    frame_node = topic.node_id if isinstance(topic, FrameTopic) else None
    assert matches(SPACE.all_frames(NODE), text) is (frame_node == NODE)


@given(request_topics)
def test_a_response_is_never_heard_as_a_request(topic: RequestTopic) -> None:
    text = SPACE.response(topic)
    assert SPACE.parse(text) is None
    assert not matches(SPACE.all_requests(shared=False), text)
    assert SPACE.check_response_topic(text) == text
    client_id, slash, _ = (topic.reply_id or "").partition("/")
    assert matches(SPACE.all_responses(client_id or "nobody"), text) == bool(slash)


def test_requests_on_a_shared_broker_go_to_one_node() -> None:
    assert SPACE.all_requests(shared=True) == "$share/mesh/mesh/1/request/#"


@given(st.text(max_size=80) | st.text("mesh/1nodfraqustigcl+#$0123456789abcdef", max_size=80))
@example("")
@example("mesh/1/")
@example("mesh/1/node")
@example("mesh/1/request/infer")
def test_no_topic_is_too_strange(text: str) -> None:
    for candidate in (text, f"mesh/1/{text}", f"mesh/1/request/infer/{text}"):
        topic = SPACE.parse(candidate)
        assert topic is None or text_of(SPACE, topic) == candidate


@pytest.mark.parametrize(
    "text",
    [
        f"other/1/frame/{NODE}/stage",
        f"mesh/2/frame/{NODE}/stage",
        f"mesh/1/frame/{NODE}/other",
        f"mesh/1/frame/{NODE}",
        f"mesh/1/frame/{NODE}/stage/more",
        f"mesh/1/frame/{NODE.upper()}/stage",
        "mesh/1/frame/0123/stage",
        f"mesh/1/node/{NODE}/advert/{MODEL}",
        f"mesh/1/node/{NODE}/capability",
        f"mesh/1/node/{NODE}/capability/abc",
        f"mesh/1/node/{NODE}/other",
        f"mesh/1/node/../../{NODE}",
        "mesh/1/request/train/m",
        "mesh/1/request/infer",
        "mesh/1/request/infer/m/r/1/more",
        "mesh/1/request/infer//r",
        "mesh/1/request/infer/m/",
        "mesh/1/request/infer/+",
        "mesh/1/request/infer/#",
        "mesh/1/request/infer/m m",
        "mesh/1/request/infer/m\n",
        "mesh/1/request/infer/" + "m" * 65,
        "mesh/1/response/infer/m",
        "$share/mesh/mesh/1/request/infer/m",
        "mesh/1/request/infer/m" + "/x" * MAX_TOPIC_BYTES,
    ],
)
def test_a_topic_that_the_protocol_does_not_know(text: str) -> None:
    assert SPACE.parse(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a/+/b",
        "a/#",
        "a\0b",
        "$SYS/broker",
        "$share/g/a",
        "mesh/1/request/infer/m",
        f"mesh/1/node/{NODE}/plans",
        f"mesh/1/frame/{NODE}/result",
        "mesh/1/",
        "mesh/1/responses/x",
        "x" * (MAX_TOPIC_BYTES + 1),
    ],
)
def test_a_response_topic_that_loops_or_forges_is_refused(text: str) -> None:
    with pytest.raises(BadTopicError):
        SPACE.check_response_topic(text)


@pytest.mark.parametrize(
    "text", ["replies/me", "mesh/1/response/infer/m/me", "mesh/10/x", "mesh/2/request/x", "/"]
)
def test_a_response_topic_of_ones_own_is_fine(text: str) -> None:
    assert SPACE.check_response_topic(text) == text


@given(st.text(max_size=400) | st.text("a€+#/$\0\x7f", max_size=400))
@example("€" * 171)
def test_an_accepted_response_topic_can_be_published_to(text: str) -> None:
    try:
        SPACE.check_response_topic(text)
    except BadTopicError:
        return
    check_topic(text)


@given(st.text(max_size=40).map(lambda text: f"mesh/1/{text}") | st.text(max_size=40))
def test_an_accepted_response_topic_is_never_heard_by_a_node(text: str) -> None:
    try:
        SPACE.check_response_topic(text)
    except BadTopicError:
        return
    for heard in (SPACE.all_requests(shared=False), SPACE.all_facts(), SPACE.all_frames(NODE)):
        assert not matches(heard, text)


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("mesh/1/request/infer/m/r", "mesh/1/response/infer/m/r"),
        ("mesh/1/request/train/a b", "mesh/1/response/train/a b"),
        ("mesh/1/request", "mesh/1/response"),
        ("mesh/1/requests/infer/m", None),
        ("mesh/1/response/infer/m", None),
        (f"mesh/1/node/{NODE}/advert", None),
        ("mesh/1/request/a\0b", None),
        ("mesh/1/request/\ud800", None),
        ("mesh/1/request/" + "é" * MAX_TOPIC_BYTES, None),
    ],
)
def test_a_request_that_is_not_served_is_answered_where_its_reply_would_be(
    text: str, mirrored: str | None
) -> None:
    assert SPACE.mirrored(text) == mirrored


@given(st.text(max_size=40) | st.text(max_size=40).map(lambda text: f"mesh/1/request/{text}"))
def test_a_mirrored_topic_is_never_heard_by_a_node(text: str) -> None:
    mirrored = SPACE.mirrored(text)
    if mirrored is not None:
        assert SPACE.parse(mirrored) is None
        assert SPACE.mirrored(mirrored) is None


@pytest.mark.parametrize("text", ["\ud800", "a\x07b", "é" * (MAX_TOPIC_BYTES // 2 + 1)])
def test_a_response_topic_that_brokers_refuse_is_refused(text: str) -> None:
    with pytest.raises(BadTopicError):
        SPACE.check_response_topic(text)
