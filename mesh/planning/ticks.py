"""Seconds and bytes as whole numbers: sums are exact, so a tie is a tie and no order of adding matters.

A float is a fraction of a power of two, so 80 binary places hold every duration of 2⁻²⁷ s (7.5 ns)
or more without rounding. Below them lie 16 more bits, zero in every duration, where a search may
count stages: the cheapest sum is then the one with the fewest stages among equals.
"""

import math

_PLACES = 80
_COUNT_BITS = 16
_ONE = 1 << _PLACES + _COUNT_BITS

STAGE = 1
"""Added once per stage by a search that prefers fewer stages among equal durations."""

NEVER = 1 << 1200
"""More than any sum: what cannot be sent. Every finite float is less."""


def to_ticks(value: float) -> int:
    """Seconds or bytes as ticks; an infinite value is NEVER."""
    if math.isinf(value):
        return NEVER
    numerator, denominator = value.as_integer_ratio()
    return ((numerator << _PLACES) // denominator) << _COUNT_BITS


def to_float(ticks: int) -> float:
    """The nearest float; the stage count is dropped."""
    return (ticks >> _COUNT_BITS << _COUNT_BITS) / _ONE


def any_count(ticks: int) -> int:
    """The largest sum of the same duration, whatever its stage count."""
    return ticks | ((1 << _COUNT_BITS) - 1)


def last_ticks_within(value: float) -> int:
    """The largest sum, with any stage count, whose `to_float` is still ≤ value."""
    if math.isinf(value):
        return NEVER - 1
    last = to_ticks(value)
    between = last + to_ticks(math.nextafter(value, math.inf))
    return any_count(max(last, between // 2 - 1))
