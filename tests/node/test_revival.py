from hypothesis import given
from hypothesis import strategies as st

from mesh.node.revival import (
    WAITS_S,
    WINDOW_S,
    Death,
    Quarantine,
    Retry,
    decide,
    remember,
)

SEGFAULT = "the interpreter's process died of SIGSEGV during an invoke"


def deaths_at(*times_s: float) -> tuple[Death, ...]:
    deaths: tuple[Death, ...] = ()
    for at_s in times_s:
        deaths = remember(deaths, Death(at_s=at_s, cause=SEGFAULT))
    return deaths


def test_each_death_waits_longer_than_the_one_before() -> None:
    waits = [decide(deaths_at(*range(count))) for count in range(1, len(WAITS_S) + 1)]
    assert waits == [Retry(wait_s=wait_s) for wait_s in WAITS_S]
    assert sorted(WAITS_S) == list(WAITS_S)


def test_the_quarantine_says_what_died_how_and_how_often() -> None:
    assert decide(deaths_at(0, 1, 5, 12)) == Quarantine(
        reason=f"quarantined: its interpreter ended 4 times within 12 s, at last because {SEGFAULT}"
    )


def test_a_time_of_health_wipes_the_slate_clean() -> None:
    assert decide(deaths_at(0, 1, 2, 2 + WINDOW_S)) == Retry(wait_s=0.0)


@given(st.lists(st.floats(0, 10 * WINDOW_S), min_size=1, max_size=40).map(sorted))
def test_quarantine_comes_with_too_many_deaths_in_one_window_and_only_then(
    times_s: list[float],
) -> None:
    recent = [at_s for at_s in times_s if times_s[-1] - at_s < WINDOW_S]
    outcome = decide(deaths_at(*times_s))
    assert isinstance(outcome, Quarantine) is (len(recent) > len(WAITS_S))
