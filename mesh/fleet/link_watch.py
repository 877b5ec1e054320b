"""When a link that was measured is to be measured anew: two frames now and then are set against it; pure.

A busy link looks slower than it is. So one look is no news, only several in a row that all look slow;
what looks fast is, for noise only adds. And no link is slower than what is seen to pass over it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mesh.fleet.links import SMALL_BYTES, Sample
from mesh.wire.measured import Link

WATCH_S = 2.0
"""Between two glances at a link that a live plan uses."""
IDLE_S = 60.0
"""… and at others: somebody may have plugged in a cable."""
_COST = 100
"""A glance may take this part of the time to the next one: 1 %."""
GLANCE_BYTES = 64 * 1024
SUSPECT = 2.0
"""A round trip that takes this many times longer, or shorter, than it should is suspect."""
SUSPICIONS = 3
"""So many slow glances in a row are a reason to measure anew."""
CHANGED = 1.5
"""A link measured anew that differs by this factor has changed: it is measured once more to be sure."""
NOISE_S = 2e-3
REST_S, MAX_REST_S = 10.0, 300.0
"""After a measurement that had no other result, twice as long each time."""
WINDOW_S = 5.0
"""How long frames are counted for a rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the glances at one link have shown. `slow` = so many in a row looked slow."""

    next_s: float
    slow: int = 0
    rest_s: float = 0.0
    rests_until_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What was sent to a peer since the node started."""

    frames: int = 0
    size_bytes: int = 0


def glance_sizes(large_bytes: int) -> tuple[int, ...]:
    """The probes of one glance."""
    return SMALL_BYTES, min(GLANCE_BYTES, large_bytes)


def first_watch(now_s: float) -> Watch:
    """Of a link that was just measured."""
    return Watch(next_s=now_s)


def is_due(watch: Watch, *, is_used: bool, now_s: float) -> bool:
    """Whether to glance. `next_s` is of a link in use; others wait longer."""
    return now_s >= watch.next_s + (0.0 if is_used else IDLE_S - WATCH_S)


def glanced(watch: Watch, link: Link, samples: Sequence[Sample], *, now_s: float) -> Watch:
    """The watch after one glance."""
    took_s = sum(one.round_trip_s for one in samples)
    watch = replace(watch, next_s=now_s + max(WATCH_S, _COST * took_s))
    if any(_looks_fast(link, one) for one in samples):
        return replace(watch, slow=SUSPICIONS)
    if any(_looks_slow(link, one) for one in samples):
        return replace(watch, slow=watch.slow + 1)
    return replace(watch, slow=0)


def is_suspect(watch: Watch, *, now_s: float) -> bool:
    """Whether the link is to be measured anew, at once."""
    return watch.slow >= SUSPICIONS and now_s >= watch.rests_until_s


def measured(watch: Watch, *, has_changed: bool, now_s: float) -> Watch:
    """The watch after a measurement that it asked for."""
    rest_s = 0.0 if has_changed else min(max(REST_S, 2 * watch.rest_s), MAX_REST_S)
    return Watch(next_s=now_s + WATCH_S, rest_s=rest_s, rests_until_s=now_s + rest_s)


def has_changed(before: Link, now: Link) -> bool:
    """Whether two measurements of a link differ by more than noise."""
    return any(
        max(one_s, other_s) > max(min(one_s, other_s) * CHANGED, min(one_s, other_s) + NOISE_S)
        for size_bytes in (SMALL_BYTES, GLANCE_BYTES)
        for one_s, other_s in [(_round_trip_s(before, size_bytes), _round_trip_s(now, size_bytes))]
    )


def no_slower(link: Link, sent: Traffic, *, within_s: float) -> Link:
    """The link as measured, but no slower than what passed over it, one frame after the other.

    A link that is full makes probes wait behind other frames; that these pass shows what it can do.
    """
    if sent.frames == 0 or within_s <= 0:
        return link
    takes_s = link.message_s + sent.size_bytes / sent.frames / link.goodput_bytes_per_s
    excess = takes_s * sent.frames / within_s
    if excess <= 1:
        return link
    return replace(
        link,
        message_s=link.message_s / excess,
        goodput_bytes_per_s=link.goodput_bytes_per_s * excess,
    )


def _round_trip_s(link: Link, size_bytes: int) -> float:
    """A frame there and an empty one back."""
    return 2 * link.message_s + size_bytes / link.goodput_bytes_per_s


def _looks_slow(link: Link, sample: Sample) -> bool:
    usual_s = _round_trip_s(link, sample.size_bytes)
    return sample.round_trip_s > max(usual_s * SUSPECT, usual_s + NOISE_S)


def _looks_fast(link: Link, sample: Sample) -> bool:
    usual_s = _round_trip_s(link, sample.size_bytes)
    return sample.round_trip_s < min(usual_s / SUSPECT, usual_s - NOISE_S)
