"""How fast a node is believed to be with a model, from its benchmark and from what its stages take; pure.

    TRUSTED ──readings disagree for SUSTAIN_S──▶ DOUBTED ──the same, other way──▶ TRUSTED or DOUBTED
       ▲                                          │   ▲
       │                             no stage for its rest, not throttled
       │                                          ▼   │ it is still slow: twice the rest
       └──── it measured itself fast again ──── RESTING

A slow node is left by the next plan, and what runs nothing shows nothing: so it rests, then measures
itself again, and only that measurement is believed. Each time it disappoints again it rests twice as
long. Which plan follows from all this is decided elsewhere.
"""

from dataclasses import dataclass, replace

BAND = 1.3
"""A reading within this factor of what is believed, either way, is noise."""
SHARED_BAND = 2.0
"""… on a machine of several nodes, which slow each other down by working at all."""
SUSTAIN_S = 3.0
"""How long readings must disagree, all the same way, to be believed: several runs, not one hiccup."""
REST_S = 60.0
MAX_REST_S = 3600.0
THROTTLED = 1.5
"""How much slower a throttled node is taken to be while it runs nothing that would show it.

A Raspberry Pi 4 goes from 1.5 to 1.0 GHz at its soft limit of temperature.
"""
HARD = 2.0
"""A node this much slower than believed is left at once, unless it was left a minute ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is seen of a node now.

    `benchmark_s` = the whole model by its last benchmark. `ratio` = what its stage takes, by what the
    benchmark says of the same layers; None while it runs none of them.
    """

    benchmark_s: float
    ratio: float | None = None
    is_throttled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What is believed of one node: `whole_s` for the whole model, `normal_s` before it ever drifted.

    `benchmark_s` is the measurement that the belief began with. `away_since_s` is set while readings
    disagree, `is_away_slow` says which way. A drifted node rests until `rests_until_s`.
    """

    whole_s: float
    normal_s: float
    benchmark_s: float
    is_trusted: bool = True
    away_since_s: float | None = None
    is_away_slow: bool = False
    rest_s: float = 0.0
    rests_until_s: float = 0.0

    @property
    def slowness(self) -> float:
        """How many times slower than normal."""
        return 1.0 if self.is_trusted or self.normal_s <= 0 else self.whole_s / self.normal_s

    def factor(self, benchmark_s: float) -> float:
        """What times of a benchmark are to be multiplied with."""
        return 1.0 if self.is_trusted or benchmark_s <= 0 else self.whole_s / benchmark_s

    def is_due(self, now_s: float) -> bool:
        """Whether it should measure itself again, if it runs nothing."""
        return not self.is_trusted and now_s >= self.rests_until_s


def first_pace(reading: Reading) -> Pace:
    """A node's benchmark is believed until its stages tell otherwise."""
    whole_s = reading.benchmark_s
    return Pace(whole_s=whole_s, normal_s=whole_s, benchmark_s=whole_s)


def look(pace: Pace | None, reading: Reading, *, now_s: float) -> Pace:
    """The belief after one more look."""
    if pace is None or reading.benchmark_s <= 0:
        return first_pace(reading)
    if pace.is_trusted and reading.benchmark_s != pace.benchmark_s:
        pace = replace(first_pace(reading), rest_s=pace.rest_s, rests_until_s=pace.rests_until_s)
    ratio = reading.ratio
    if ratio is None and not pace.is_trusted:
        return _rested(pace, reading, now_s)
    if ratio is None and reading.is_throttled:
        ratio = THROTTLED
    return _disagreeing(pace, reading, ratio, now_s)


def _disagreeing(pace: Pace, reading: Reading, ratio: float | None, now_s: float) -> Pace:
    believed = pace.factor(reading.benchmark_s)
    if ratio is None or believed / BAND < ratio < believed * BAND:
        return replace(pace, away_since_s=None)
    is_slow = ratio > believed
    if pace.away_since_s is None or pace.is_away_slow != is_slow:
        return replace(pace, away_since_s=now_s, is_away_slow=is_slow)
    if now_s - pace.away_since_s < SUSTAIN_S:
        return pace
    return _believing(pace, reading, ratio, now_s)


def _believing(pace: Pace, reading: Reading, ratio: float, now_s: float) -> Pace:
    """The readings win. A rest is twice the last one, unless the node did well for as long as that."""
    whole_s = ratio * reading.benchmark_s
    rest_s = pace.rest_s
    if whole_s > pace.whole_s:
        did_well = rest_s == 0 or now_s > pace.rests_until_s + rest_s
        rest_s = REST_S if did_well else min(2 * rest_s, MAX_REST_S)
    is_normal = pace.normal_s / BAND < whole_s < pace.normal_s * BAND
    is_trusted = is_normal and pace.normal_s == reading.benchmark_s
    return replace(
        pace,
        whole_s=pace.normal_s if is_trusted else whole_s,
        benchmark_s=reading.benchmark_s,
        is_trusted=is_trusted,
        away_since_s=None,
        rest_s=rest_s,
        rests_until_s=now_s + rest_s,
    )


def _rested(pace: Pace, reading: Reading, now_s: float) -> Pace:
    """A node that runs nothing: only what it measured after its rest is news."""
    pace = replace(pace, away_since_s=None)
    if reading.is_throttled or now_s < pace.rests_until_s:
        return pace
    if reading.benchmark_s == pace.benchmark_s:
        return pace
    if reading.benchmark_s < pace.normal_s * BAND:
        return replace(first_pace(reading), rest_s=pace.rest_s, rests_until_s=pace.rests_until_s)
    rest_s = min(2 * pace.rest_s, MAX_REST_S)
    return replace(
        pace,
        whole_s=reading.benchmark_s,
        benchmark_s=reading.benchmark_s,
        rest_s=rest_s,
        rests_until_s=now_s + rest_s,
    )
