"""MQTT's rules for topic names and topic filters (MQTT 5 §4.7), without MQTT."""

from mesh.errors import BadTopicError

MAX_TOPIC_BYTES = 1024  # the protocol allows 65,535; ours are short, and brokers index every level


def check_topic(topic: str) -> None:
    """Raises: BadTopicError when nothing may be published to it."""
    _check_text("topic", topic)
    if "+" in topic or "#" in topic:
        raise BadTopicError(f"topic {topic!r} has a wildcard: publish to one plain topic name")


def check_filter(topic_filter: str) -> None:
    """Raises: BadTopicError when nobody may subscribe to it."""
    _check_text("topic filter", topic_filter)
    levels = topic_filter.split("/")
    if any("#" in level for level in levels[:-1]) or not _is_sound(levels[-1], "#"):
        raise BadTopicError(f"topic filter {topic_filter!r}: '#' must be its whole last level")
    if not all(_is_sound(level, "+") for level in levels):
        raise BadTopicError(f"topic filter {topic_filter!r}: '+' must be a whole level")


def matches(topic_filter: str, topic: str) -> bool:
    """Tell whether a sound filter takes in a sound topic."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"#", "+"}:
        return False  # §4.7.2: the broker's own topics hide from leading wildcards
    for position, level in enumerate(wanted):
        if level == "#":
            return True  # §4.7.1.2: also the parent level itself
        if position == len(given) or level not in {"+", given[position]}:
            return False
    return len(wanted) == len(given)


def _is_sound(level: str, wildcard: str) -> bool:
    return wildcard not in level or level == wildcard


def _check_text(what: str, text: str) -> None:
    try:
        size_bytes = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise BadTopicError(f"the {what} is not valid Unicode text") from error
    if not 1 <= size_bytes <= MAX_TOPIC_BYTES:
        raise BadTopicError(f"a {what} has 1 to {MAX_TOPIC_BYTES} bytes, this one {size_bytes}")
    if any(character < " " or "\x7f" <= character <= "\x9f" for character in text):
        raise BadTopicError(f"{what} {text[:80]!r} has control characters in it")
