"""What a node says of what it measured: a model's layers on it, and its links to others."""

from collections.abc import Iterable
from dataclasses import dataclass

from mesh.ids import ModelId, NodeId

MAX_TIME_S = 86_400.0
"""No stage or transfer takes a day: sums and products of such times stay what a clock can wait for."""
MAX_CORES = 4096
_GOODPUT_BYTES_PER_S = (1.0, 1e15)
_MAX_REFUSED = 64
_MAX_REASON_CHARS = 512
MAX_MODE_CHARS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedLayers:
    """The layers [start, stop) that a node's runtime cannot load, and why."""

    start: int
    stop: int
    reason: str

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError("refused layers are some layers")
        if len(self.reason) > _MAX_REASON_CHARS:
            raise ValueError(f"a reason has at most {_MAX_REASON_CHARS} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityDocument:
    """A node's measured time for one model: `layer_s[i]` for the operators [boundaries[i], boundaries[i+1]).

    None = its runtime cannot load them; `refused` says why, as far as there is room. `failure` says
    why it cannot run the model at all; then the lists are empty. `power_mode` is the board's then,
    empty where it has none.
    """

    model_id: ModelId
    kernel_class: str
    threads: int
    boundaries: tuple[int, ...]
    layer_s: tuple[float | None, ...]
    stage_s: float
    failure: str | None = None
    refused: tuple[RefusedLayers, ...] = ()
    power_mode: str = ""

    def __post_init__(self) -> None:
        if self.failure is None and len(self.layer_s) != len(self.boundaries) - 1:
            raise ValueError("there must be one boundary more than layer times")
        if self.threads < 1:
            raise ValueError("a model is measured with at least one thread")
        if len(self.power_mode) > MAX_MODE_CHARS:
            raise ValueError(f"a power mode has at most {MAX_MODE_CHARS} characters")
        if len(self.refused) > _MAX_REFUSED:
            raise ValueError(f"at most {_MAX_REFUSED} ranges of layers are refused")
        times_s = [time_s for time_s in self.layer_s if time_s is not None]
        check_times("a measured time", (self.stage_s, *times_s, sum(times_s)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One direction, from the node that says so to `peer`, measured with frames over MQTT."""

    peer: NodeId
    goodput_bytes_per_s: float
    message_s: float

    def __post_init__(self) -> None:
        least, most = _GOODPUT_BYTES_PER_S
        if not least <= self.goodput_bytes_per_s <= most:
            raise ValueError(
                f"a link's goodput lies between {least:g} and {most:g} bytes per second"
            )
        check_times("a link's time per message", (self.message_s,))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksDocument:
    """A node's links, and what talking costs its processor, broker included; 0 = not measured.

    `message_cpu_s` core-seconds for a frame sent or received, and `byte_cpu_s` for each byte of it;
    `background_cores` are busy while no request passes.
    """

    links: tuple[Link, ...]
    message_cpu_s: float = 0.0
    byte_cpu_s: float = 0.0
    background_cores: float = 0.0

    def __post_init__(self) -> None:
        check_times("what a message costs", (self.message_cpu_s, self.byte_cpu_s))
        if not 0 <= self.background_cores < MAX_CORES:
            raise ValueError(f"a node is busy with 0 to {MAX_CORES} cores")


def check_times(what: str, times_s: Iterable[float]) -> None:
    """Raises: ValueError for a time that is none, or longer than a day."""
    if not all(0 <= time_s <= MAX_TIME_S for time_s in times_s):
        raise ValueError(f"{what} must lie between 0 and {MAX_TIME_S:.0f} seconds")
