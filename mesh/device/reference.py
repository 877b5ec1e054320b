"""What a model would take on a board that is not there: reference rates of its profile, or scaled ones.

Nothing here measures. A board without rates of its own has those of a measured board, scaled by
the times of two networks that are published of one and measured of the other.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mesh.device.load import Kind, Load
from mesh.device.profile import Anchor, DeviceProfile, Typical
from mesh.device.threads import most_threads
from mesh.errors import DeviceError

OTHERS = "*"
"""Stands for every operator that has no rate of its own in its number format."""
SCALED_FACTOR = 2.0
"""Published times are another runtime's: what is scaled by them may take half or twice as long."""
ALIKE_FACTOR = 2.5
"""… and of another board with the same cores, at another clock."""
_UNKNOWN_FACTOR = 3.0
"""For a number format of which nothing was measured: it is taken for float32."""
_DENSE = frozenset({"CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "TRANSPOSE_CONV"})
"""Kinds that go by ResNet-50, which hardly has others; all others go by MobileNetV2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Seconds per unit of effort on one board, with `threads` threads.

    A time may be off by `factors` of its number format either way. `overhead` = how many times as
    long as on the measured board everything takes that is no operator; a message takes
    `message_cpu_s` and `byte_cpu_s` of the processor (0 = nobody measured). `is_scaled`: by
    published times, of another runtime. `basis` says where it comes from, as the end of a sentence.
    """

    rates: Mapping[Kind, float]
    factors: Mapping[str, float]
    threads: int
    overhead: float
    message_cpu_s: float
    byte_cpu_s: float
    is_scaled: bool
    basis: str

    def seconds(self, load: Load) -> float:
        """Of one run of layers with this load."""
        return load_s(self.rates, load)

    def factor(self, load: Load) -> float:
        """The uncertainty of a model with this load: that of its least certain number format."""
        formats = {number_format for (_, number_format), effort in load.items() if effort > 0}
        noted = [self.factors.get(one, _UNKNOWN_FACTOR) for one in formats - {"other"}]
        return max(noted, default=_UNKNOWN_FACTOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """The board that others are scaled from."""

    profile: DeviceProfile
    anchor: Anchor


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ratios:
    """How many times as long as on the measured board: dense kinds, and all others."""

    dense: float
    light: float


def load_s(rates: Mapping[Kind, float], load: Load) -> float:
    """Seconds of a load at these rates."""
    return math.fsum(effort * _rate(rates, kind) for kind, effort in load.items())


def _rate(rates: Mapping[Kind, float], kind: Kind) -> float:
    """Its own, else that of others in its format, else as in float32."""
    operator, number_format = kind
    nearest = (kind, (OTHERS, number_format), (operator, "float32"), (OTHERS, "float32"))
    for each in nearest:
        if each in rates:
            return rates[each]
    return max(rates.values())


def reference_of(profile: DeviceProfile, profiles: Sequence[DeviceProfile]) -> Reference:
    """The board's own reference, else the one of `profiles` that has an anchor, scaled to it.

    Raises: DeviceError where nothing is known of its speed.
    """
    measured = _measured(profiles)
    if profile.reference:
        return _own(profile, measured)
    typical, alike = profile.typical, None
    if not _is_published(typical):
        alike = _alike(profile, profiles)
        typical = _reclocked(alike, profile)
    threads = most_threads(0, profile.processor.cores or 1)
    ratios = _ratios(typical, (alike or profile).processor.cores or 1, threads, measured.anchor)
    least = SCALED_FACTOR if alike is None else ALIKE_FACTOR
    by = "published times" if alike is None else f"published times of {alike.title} and by clock"
    own = _own(measured.profile, measured)
    overhead = _ratios(typical, 1, 1, measured.anchor).light
    network = profile.network
    return Reference(
        rates={
            (operator, number_format): rate * (ratios.dense if operator in _DENSE else ratios.light)
            for (operator, number_format), rate in own.rates.items()
        },
        factors={one: max(least, factor) for one, factor in own.factors.items()},
        threads=threads,
        overhead=overhead,
        message_cpu_s=network.message_cpu_s or own.message_cpu_s * overhead,
        byte_cpu_s=network.byte_cpu_s or own.byte_cpu_s * overhead,
        is_scaled=True,
        basis=f"measured on an {measured.profile.title} and scaled by {by}",
    )


def _measured(profiles: Sequence[DeviceProfile]) -> _Measured:
    for each in profiles:
        if each.reference and each.anchor is not None:
            return _Measured(profile=each, anchor=each.anchor)
    raise DeviceError("no device profile has a reference with an anchor: add one by `mesh profile`")


def _own(profile: DeviceProfile, measured: _Measured) -> Reference:
    """What was measured of one board; of a generic profile, boards differ as much as others do."""
    least = 1.0 if profile.match.model_prefixes else SCALED_FACTOR
    factors: dict[str, float] = {}
    for each in profile.reference:
        factors[each.data_type] = max(each.factor, least, factors.get(each.data_type, 1.0))
    anchor, network = profile.anchor or measured.anchor, measured.profile.network
    overhead = anchor.one_thread_mobilenet_v2_s / measured.anchor.one_thread_mobilenet_v2_s
    return Reference(
        rates={
            (each.operator, each.data_type): each.seconds_per_unit for each in profile.reference
        },
        factors=factors,
        threads=1,
        overhead=overhead,
        message_cpu_s=profile.network.message_cpu_s or (network.message_cpu_s or 0.0) * overhead,
        byte_cpu_s=profile.network.byte_cpu_s or (network.byte_cpu_s or 0.0) * overhead,
        is_scaled=False,
        basis=f"as measured on one of them ({profile.reference[0].source})",
    )


def _is_published(typical: Typical) -> bool:
    return None not in (typical.one_thread_mobilenet_v2_s, typical.one_thread_resnet_50_s)


def _alike(profile: DeviceProfile, profiles: Sequence[DeviceProfile]) -> DeviceProfile:
    """The board with the same cores, of which times are published, that is next in clock."""
    clock_hz = profile.processor.clock_hz
    alike = [
        each
        for each in profiles
        if each.processor.core is not None
        and each.processor.core == profile.processor.core
        and each.processor.clock_hz is not None
        and _is_published(each.typical)
    ]
    if clock_hz is None or not alike:
        raise DeviceError(
            f"nothing is known of the speed of {profile.title}: run `mesh profile` on one, or "
            "choose another board"
        )
    return min(alike, key=lambda each: (abs((each.processor.clock_hz or 0) - clock_hz), each.name))


def _reclocked(alike: DeviceProfile, profile: DeviceProfile) -> Typical:
    ratio = (alike.processor.clock_hz or 1) / (profile.processor.clock_hz or 1)
    typical = alike.typical
    return replace(
        typical,
        mobilenet_v2_s=_times(typical.mobilenet_v2_s, ratio),
        resnet_50_s=_times(typical.resnet_50_s, ratio),
        one_thread_mobilenet_v2_s=_times(typical.one_thread_mobilenet_v2_s, ratio),
        one_thread_resnet_50_s=_times(typical.one_thread_resnet_50_s, ratio),
    )


def _times(seconds: float | None, ratio: float) -> float | None:
    return None if seconds is None else seconds * ratio


def _ratios(typical: Typical, cores: int, threads: int, anchor: Anchor) -> _Ratios:
    """`cores` are those of the published times."""
    resnet_s = _with_threads(typical.one_thread_resnet_50_s, typical.resnet_50_s, cores, threads)
    mobilenet_s = _with_threads(
        typical.one_thread_mobilenet_v2_s, typical.mobilenet_v2_s, cores, threads
    )
    return _Ratios(
        dense=resnet_s / anchor.one_thread_resnet_50_s,
        light=mobilenet_s / anchor.one_thread_mobilenet_v2_s,
    )


def _with_threads(
    one_thread_s: float | None, all_cores_s: float | None, cores: int, threads: int
) -> float:
    """Between the two as Amdahl's law has it; `one_thread_s` is known."""
    one_thread_s = one_thread_s or 0.0
    if min(threads, cores) == 1 or all_cores_s is None:
        return one_thread_s
    serial = (all_cores_s / one_thread_s - 1 / cores) / (1 - 1 / cores)
    serial = min(max(serial, 0.0), 1.0)
    return one_thread_s * (serial + (1 - serial) / threads)
