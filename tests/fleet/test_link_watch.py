import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.fleet.link_watch import (
    GLANCE_BYTES,
    IDLE_S,
    MAX_REST_S,
    REST_S,
    SUSPICIONS,
    WATCH_S,
    Traffic,
    Watch,
    first_watch,
    glance_sizes,
    glanced,
    has_changed,
    is_due,
    is_suspect,
    measured,
    no_slower,
)
from mesh.fleet.links import Sample
from mesh.ids import NodeId
from mesh.wire.measured import Link

LINK = Link(peer=NodeId("a" * 16), goodput_bytes_per_s=1e7, message_s=2e-3)
USUAL_S = (2 * LINK.message_s, 2 * LINK.message_s + GLANCE_BYTES / LINK.goodput_bytes_per_s)


def look(watch: Watch, *factors: float, now_s: float = 0.0) -> Watch:
    """One glance after the other, that take so many times longer than usual."""
    for factor in factors:
        samples = [
            Sample(size_bytes=size_bytes, round_trip_s=usual_s * factor)
            for size_bytes, usual_s in zip(glance_sizes(1 << 20), USUAL_S, strict=True)
        ]
        watch = glanced(watch, LINK, samples, now_s=now_s)
    return watch


def suspects(*factors: float) -> bool:
    return is_suspect(look(first_watch(0.0), *factors), now_s=1e3)


def test_several_slow_glances_in_a_row_are_suspicious_and_one_fast_one_is() -> None:
    assert suspects(*[4.0] * SUSPICIONS)
    assert not suspects(*[4.0] * (SUSPICIONS - 1))
    assert not suspects(4.0, 4.0, 1.2, 4.0, 4.0)
    assert suspects(0.2)


@given(st.lists(st.floats(0.6, 1.9), max_size=20))
def test_noise_is_not_suspicious(factors: list[float]) -> None:
    assert not suspects(*factors)


def test_a_glance_takes_little_of_the_time_between_two() -> None:
    assert look(first_watch(0.0), 1.0, now_s=100.0).next_s == pytest.approx(102.0, abs=0.1)
    slow_s = sum(USUAL_S) * 10
    assert look(first_watch(0.0), 10.0, now_s=100.0).next_s == pytest.approx(100 + 100 * slow_s)


def test_links_that_no_plan_uses_are_looked_at_rarely() -> None:
    watch = first_watch(100.0)
    assert is_due(watch, is_used=True, now_s=100.0)
    assert not is_due(watch, is_used=False, now_s=100.0 + IDLE_S - WATCH_S - 1)
    assert is_due(watch, is_used=False, now_s=100.0 + IDLE_S - WATCH_S)


def test_measurements_without_news_are_asked_for_more_and_more_rarely() -> None:
    watch, rests_s = first_watch(0.0), []
    for _ in range(8):
        watch = measured(watch, has_changed=False, now_s=0.0)
        rests_s.append(watch.rests_until_s)
        assert not is_suspect(look(watch, *[4.0] * SUSPICIONS), now_s=watch.rests_until_s - 1)
    assert rests_s[:3] == [REST_S, 2 * REST_S, 4 * REST_S]
    assert rests_s[-1] == MAX_REST_S
    assert measured(watch, has_changed=True, now_s=5.0).rests_until_s == 5.0


def changed(*, goodput: float = 1.0, message: float = 1.0) -> bool:
    now = Link(
        peer=LINK.peer,
        goodput_bytes_per_s=LINK.goodput_bytes_per_s / goodput,
        message_s=LINK.message_s * message,
    )
    assert has_changed(LINK, now) == has_changed(now, LINK)
    return has_changed(LINK, now)


def test_a_link_has_changed_when_its_bytes_or_its_messages_take_another_time() -> None:
    assert changed(goodput=4.0)
    assert changed(message=4.0)
    assert not changed(goodput=1.3, message=1.3)


@given(
    goodput=st.floats(1e3, 1e9),
    message_s=st.floats(0, 1),
    frames=st.integers(0, 10_000),
    size_bytes=st.integers(0, 1 << 20),
    within_s=st.floats(0.1, 60),
)
def test_what_passes_is_possible(
    goodput: float, message_s: float, frames: int, size_bytes: int, within_s: float
) -> None:
    link = Link(peer=LINK.peer, goodput_bytes_per_s=goodput, message_s=message_s)
    sent = Traffic(frames=frames, size_bytes=frames * size_bytes)
    now = no_slower(link, sent, within_s=within_s)
    takes_s = frames * (now.message_s + size_bytes / now.goodput_bytes_per_s)
    assert takes_s <= within_s * (1 + 1e-9)
    assert now.message_s <= message_s
    assert now.goodput_bytes_per_s >= goodput


def test_a_link_that_is_not_full_is_as_it_was_measured() -> None:
    sent = Traffic(frames=10, size_bytes=10 * GLANCE_BYTES)
    assert no_slower(LINK, sent, within_s=1.0) is LINK
    assert no_slower(LINK, Traffic(), within_s=1.0) is LINK
