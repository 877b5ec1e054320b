"""What follows the death of a stage's interpreter: another life after a wait, or quarantine; pure.

    death within WINDOW_S    1st        2nd        3rd        4th
    what follows             at once    0.5 s      2 s        quarantine

A stage that lived well for WINDOW_S begins anew: its older deaths are forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_S = 300.0
WAITS_S = (0.0, 0.5, 2.0)
"""The first death may have been anybody's doing and requests are waiting; after that it waits longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """When, and how: the sentence of the error."""

    at_s: float
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Load the slice again after this wait."""

    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """Do not load it again; the reason says what died, how, and how often."""

    reason: str


def remember(deaths: Sequence[Death], death: Death) -> tuple[Death, ...]:
    """The deaths that count once this one has come: those of the last WINDOW_S."""
    return (*(one for one in deaths if death.at_s - one.at_s < WINDOW_S), death)


def decide(deaths: Sequence[Death]) -> Retry | Quarantine:
    """What follows the last of these deaths, oldest first."""
    if len(deaths) <= len(WAITS_S):
        return Retry(wait_s=WAITS_S[len(deaths) - 1])
    span_s = deaths[-1].at_s - deaths[0].at_s
    return Quarantine(
        reason=f"quarantined: its interpreter ended {len(deaths)} times within "
        f"{max(1.0, span_s):.0f} s, at last because {deaths[-1].cause}"
    )
