"""Device profiles: what is known of a kind of board as data, and which one fits the board at hand.

The files are `device_profiles/*.toml`; its README.md explains each key. Nothing here measures:
a profile names sensors, sets sane bounds and stands in for measurement in what-if planning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

from mesh.errors import DeviceError

FACT: Final[Mapping[str, Any]] = MappingProxyType({"is_fact": True})
"""Marks keys that a file must either give or name in its `unknown`: silence would say neither."""


class ThrottleKind(Enum):
    """What the file of a throttle sensor holds."""

    FLAG = "flag"  # not 0 while it lasts
    COUNTER = "counter"  # counts events upwards
    BITS = "bits"  # hexadecimal; the bits that have a name are not 0 while it lasts


class QuirkTopic(Enum):
    """What a quirk is about."""

    HEAT = "heat"
    MEMORY = "memory"
    NETWORK = "network"
    POWER = "power"
    PROCESSOR = "processor"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """When a profile fits; an empty tuple asks nothing."""

    machines: tuple[str, ...]
    model_prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """The application processor, as sold; `clock_hz` is the highest in any power mode."""

    cores: int | None = field(default=None, metadata=FACT)
    core: str | None = field(default=None, metadata=FACT)
    clock_hz: int | None = field(default=None, metadata=FACT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """`reserved_bytes` is left to the system and the daemon when stages are placed."""

    reserved_bytes: int
    sizes_bytes: tuple[int, ...] = field(default=(), metadata=FACT)
    page_bytes: int | None = field(default=None, metadata=FACT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleSensor:
    """A file below `/sys`: of the hwmon device that calls itself `hwmon`, or by its own path.

    `file` may contain `*`; `bits` names the bits of a `BITS` file, the lowest first.
    """

    file: str
    kind: ThrottleKind
    hwmon: str = ""
    bits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Thermal:
    """`zones` are thermal zone types, most telling first; none means the hottest of all counts."""

    zones: tuple[str, ...] = field(default=(), metadata=FACT)
    hot_c: float | None = field(default=None, metadata=FACT)
    throttles_c: float | None = field(default=None, metadata=FACT)
    sensors: tuple[ThrottleSensor, ...] = field(default=(), metadata=FACT)


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerMode:
    """One mode of the board's power tool; `clock_hz` caps the processor, `cores` are those online."""

    name: str
    id: int
    clock_hz: int
    cores: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """`query` is the command that prints the mode's name; `answer_prefix` stands before it."""

    query: tuple[str, ...] = field(default=(), metadata=FACT)
    answer_prefix: str = ""
    default_mode: str = ""
    modes: tuple[PowerMode, ...] = field(default=(), metadata=FACT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """What a port carries at best, not what its label says."""

    bytes_per_s: int | None = field(default=None, metadata=FACT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The board's own ports, None where it has none, and what messages cost its processor."""

    ethernet: Port | None = None
    wifi: Port | None = None
    message_cpu_s: float | None = field(default=None, metadata=FACT)
    byte_cpu_s: float | None = field(default=None, metadata=FACT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Typical:
    """Published times of one float32 inference, for what-if planning and as a sanity band only.

    Another runtime may take from `least_factor` to `most_factor` times as long.
    """

    mobilenet_v2_s: float | None = field(default=None, metadata=FACT)
    resnet_50_s: float | None = field(default=None, metadata=FACT)
    one_thread_mobilenet_v2_s: float | None = field(default=None, metadata=FACT)
    one_thread_resnet_50_s: float | None = field(default=None, metadata=FACT)
    least_factor: float | None = field(default=None, metadata=FACT)
    most_factor: float | None = field(default=None, metadata=FACT)
    source: str | None = field(default=None, metadata=FACT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """What an owner should know, as a sentence."""

    about: QuirkTopic
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRate:
    """How fast one kind of operator was measured to run on one thread of this board.

    `seconds_per_unit` of effort (`mesh/device/effort.py`); a time may be off by `factor` either way.
    """

    operator: str
    data_type: str
    seconds_per_unit: float
    factor: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The two networks of `Typical`, as measured here with the reference's runtime: what scales it."""

    one_thread_mobilenet_v2_s: float
    one_thread_resnet_50_s: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProfile:
    """One kind of board. `unknown` names the facts that nobody has found out yet."""

    name: str
    title: str
    match: Match
    memory: Memory
    aliases: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    processor: Processor = Processor()
    thermal: Thermal = Thermal()
    power: Power = Power()
    network: Network = Network()
    typical: Typical = Typical()
    quirks: tuple[Quirk, ...] = ()
    reference: tuple[ReferenceRate, ...] = ()
    anchor: Anchor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFacts:
    """What a machine says of itself; `model` is None where neither device tree nor firmware says it."""

    model: str | None
    machine: str
    cores: int
    memory_bytes: int
    page_bytes: int
    host_id: str


def recognise(facts: BoardFacts, profiles: Sequence[DeviceProfile]) -> DeviceProfile:
    """The profile with the longest matching model prefix, else the generic one of the architecture.

    Raises: DeviceError when not even a generic one fits.
    """
    fitting = [(rank, each) for each in profiles if (rank := _rank(facts, each)) is not None]
    if not fitting:
        raise DeviceError(
            f"no device profile fits {facts.model or 'this board'} ({facts.machine}): "
            f'add one to device_profiles/ with match.machines = ["{facts.machine}"]'
        )
    return min(fitting, key=lambda pair: (-pair[0], pair[1].name))[1]


def matching_prefix(facts: BoardFacts, profile: DeviceProfile) -> str | None:
    """The longest of the profile's prefixes that begins the board's model; None where none does."""
    model = facts.model or ""
    fitting = [prefix for prefix in profile.match.model_prefixes if model.startswith(prefix)]
    return max(fitting, key=len, default=None)


def find_profile(name: str, profiles: Sequence[DeviceProfile]) -> DeviceProfile:
    """The profile of this name or alias. Raises: DeviceError that lists what there is."""
    wanted = name.lower()
    for each in profiles:
        if wanted == each.name or wanted in each.aliases:
            return each
    known = ", ".join(each.aliases[0] if each.aliases else each.name for each in profiles)
    raise DeviceError(f"there is no device profile {name!r}; there are: {known}")


def _rank(facts: BoardFacts, profile: DeviceProfile) -> int | None:
    if facts.machine not in profile.match.machines:
        return None
    if not profile.match.model_prefixes:
        return 0
    prefix = matching_prefix(facts, profile)
    return None if prefix is None else len(prefix)
