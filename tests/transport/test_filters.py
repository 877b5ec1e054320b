import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from mesh.errors import BadTopicError
from mesh.transport.filters import MAX_TOPIC_BYTES, check_filter, check_topic, matches

LEVELS = st.lists(st.sampled_from(["", "a", "b", "$x"]), min_size=1, max_size=4)
WILD = st.lists(st.sampled_from(["", "a", "b", "+", "$x"]), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/b/c", "a/b", False),
        ("a/+", "a/b", True),
        ("a/+", "a/", True),
        ("a/+", "a", False),
        ("a/+", "a/b/c", False),
        ("+/+", "/a", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
    ],
)
def test_matching(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected


@given(WILD, st.booleans(), LEVELS)
def test_matching_agrees_with_paho(wanted: list[str], rest: bool, given_levels: list[str]) -> None:
    topic_filter, topic = "/".join(wanted + ["#"] * rest), "/".join(given_levels)
    assert matches(topic_filter, topic) == topic_matches_sub(topic_filter, topic)


@pytest.mark.parametrize("topic", ["a", "/", "mesh/1/node/x", "$SYS/x", "ü" * 512])
def test_sound_topics(topic: str) -> None:
    check_topic(topic)
    check_filter(topic)


@pytest.mark.parametrize(
    "topic", ["", "+", "a/#", "a\0", "a\x1b[2J", "a\x85", "\ud800", "x" * (MAX_TOPIC_BYTES + 1)]
)
def test_unsound_topics(topic: str) -> None:
    with pytest.raises(BadTopicError):
        check_topic(topic)


@pytest.mark.parametrize("topic_filter", ["#", "+", "a/+/b", "+/#", "a/#", "/+"])
def test_sound_filters(topic_filter: str) -> None:
    check_filter(topic_filter)


@pytest.mark.parametrize("topic_filter", ["", "#/a", "a#", "a/b#", "a+", "+a/b", "##", "a\n"])
def test_unsound_filters(topic_filter: str) -> None:
    with pytest.raises(BadTopicError):
        check_filter(topic_filter)


@given(st.text(max_size=20))
def test_a_sound_topic_is_a_filter_that_matches_itself(topic: str) -> None:
    try:
        check_topic(topic)
    except BadTopicError:
        return
    check_filter(topic)
    assert matches(topic, topic)
