"""Device profiles: what is known of a kind of board as data, and which one fits the board at hand.

The files are `device_profiles/*.toml`; its README.md explains each key. Nothing here measures:
a profile names sensors, sets sane bounds and stands in for measurement in what-if planning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from mesh.errors import DeviceError


class ThrottleKind(Enum):
    """What the file of a throttle sensor holds."""

    FLAG = "flag"  # not 0 while it lasts
    COUNTER = "counter"  # counts events upwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """When a profile fits; an empty tuple asks nothing."""

    machines: tuple[str, ...]
    model_prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """The application processor, as sold."""

    cores: int | None = None
    core: str | None = None
    clock_hz: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """`reserved_bytes` is left to the system and the daemon when stages are placed."""

    reserved_bytes: int
    sizes_bytes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleSensor:
    """A file `/sys/class/hwmon/*/<file>` of the hwmon device that calls itself `hwmon`."""

    hwmon: str
    file: str
    kind: ThrottleKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Thermal:
    """`zones` are thermal zone types, most telling first; none means the hottest of all counts."""

    zones: tuple[str, ...] = ()
    hot_c: float | None = None
    throttles_c: float | None = None
    sensors: tuple[ThrottleSensor, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerMode:
    """One mode of the board's power tool; `clock_hz` caps the processor, `cores` are those online."""

    name: str
    clock_hz: int | None = None
    cores: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """`query` is the command that prints the mode's name; `answer_prefix` stands before it."""

    query: tuple[str, ...] = ()
    answer_prefix: str = ""
    modes: tuple[PowerMode, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The board's own wired port, where the port is slower than its label or worth knowing."""

    ethernet_bytes_per_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Typical:
    """Published times of one float32 inference, for what-if planning and as a sanity band only."""

    mobilenet_v2_s: float | None = None
    resnet_50_s: float | None = None
    one_thread_mobilenet_v2_s: float | None = None
    one_thread_resnet_50_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProfile:
    """One kind of board."""

    name: str
    title: str
    match: Match
    memory: Memory
    processor: Processor = Processor()
    thermal: Thermal = Thermal()
    power: Power = Power()
    network: Network = Network()
    typical: Typical = Typical()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFacts:
    """What a machine says of itself; `model` is None where there is no device tree."""

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


def _rank(facts: BoardFacts, profile: DeviceProfile) -> int | None:
    if facts.machine not in profile.match.machines:
        return None
    if not profile.match.model_prefixes:
        return 0
    model = facts.model or ""
    lengths = [len(prefix) for prefix in profile.match.model_prefixes if model.startswith(prefix)]
    return max(lengths, default=None)
