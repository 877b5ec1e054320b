"""What a node can do with one model: measured seconds per layer piece, under named conditions."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, get_type_hints

from mesh.errors import DeviceError
from mesh.ids import ModelId
from mesh.model.tensor import LayerRange

MAX_PIECES = 4096
_MAX_TEXT_CHARS = 256
MAX_REFUSALS = 32
_MAX_REASON_CHARS = 300
_MAX_SECONDS = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under which a measurement holds: any other value asks for a new one.

    `threads` is what was asked for; 0 = the best number up to `most_threads`, by measurement.
    """

    model_id: ModelId
    kernel_class: str
    device_profile: str
    power_mode: str
    threads: int
    most_threads: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Layers [start, stop) that the runtime cannot load, and why, as a sentence about the runtime.

    `lasts` = it is the runtime that lacks something; what was refused for another reason, such as
    memory, may load another day.
    """

    start: int
    stop: int
    reason: str
    lasts: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"layers [{self.start}, {self.stop}) are none")
        if len(self.reason) > _MAX_REASON_CHARS or not self.reason.isprintable():
            raise ValueError("a reason is one short line")

    @classmethod
    def of(cls, start: int, stop: int, reason: str, *, lasts: bool = False) -> "Refusal":
        """With a reason of any length."""
        line = " ".join(reason.split())
        text = "".join(letter for letter in line if letter.isprintable())
        return cls(start=start, stop=stop, reason=text[:_MAX_REASON_CHARS], lasts=lasts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """`layer_s[i]` seconds for the layers between `boundaries[i]` and `boundaries[i + 1]`.

    None where the runtime cannot load them; `refusals` says why, as far as there is room. A stage
    takes the sum of its pieces plus `stage_s` once (call, copies), with `threads` threads. The
    boundaries are the cut positions that a plan may use, from 0 to the model's number of layers.
    It checks itself: ValueError.
    """

    conditions: Conditions
    threads: int
    boundaries: tuple[int, ...]
    layer_s: tuple[float | None, ...]
    stage_s: float
    refusals: tuple[Refusal, ...] = ()

    def __post_init__(self) -> None:
        if self.threads < 1 or len(self.refusals) > MAX_REFUSALS:
            raise ValueError(f"it takes a thread or more, and at most {MAX_REFUSALS} refusals")
        if not 1 <= len(self.layer_s) == len(self.boundaries) - 1 <= MAX_PIECES:
            raise ValueError("there must be one boundary more than pieces")
        if self.boundaries[0] != 0 or not _increases(self.boundaries):
            raise ValueError("boundaries must increase from 0")
        for seconds in (*self.layer_s, self.stage_s):
            if seconds is not None and not 0.0 <= seconds <= _MAX_SECONDS:  # also refuses NaN
                raise ValueError(f"{seconds} is not a sound number of seconds")

    @property
    def lasts(self) -> bool:
        """Whether it would come out the same at another time."""
        return all(each.lasts for each in self.refusals)

    def predict_s(self, layers: LayerRange) -> float:
        """The time of one invoke of a stage.

        Raises: ValueError where it does not end at boundaries or cannot be loaded.
        """
        if not {layers.start, layers.stop} <= set(self.boundaries):
            raise ValueError(f"layers {layers} do not start and stop at measured boundaries")
        start, stop = self.boundaries.index(layers.start), self.boundaries.index(layers.stop)
        times_s = [seconds for seconds in self.layer_s[start:stop] if seconds is not None]
        if len(times_s) < stop - start:
            raise ValueError(f"the runtime cannot load all of layers {layers}")
        return math.fsum(times_s) + self.stage_s


def _increases(numbers: tuple[int, ...]) -> bool:
    return all(one < other for one, other in pairwise(numbers))


def to_document(capability: Capability) -> dict[str, Any]:
    """As plain values for JSON."""
    return {
        "conditions": asdict(capability.conditions),
        "threads": capability.threads,
        "boundaries": list(capability.boundaries),
        "layer_s": list(capability.layer_s),
        "stage_s": capability.stage_s,
        "refusals": [asdict(each) for each in capability.refusals],
    }


def from_document(document: object) -> Capability:
    """The reverse; the document may come from anywhere. Raises: DeviceError naming the key."""
    if not isinstance(document, Mapping):
        raise DeviceError("a capability must be a JSON object")
    try:
        return Capability(
            conditions=_conditions(document.get("conditions")),
            threads=_number(document.get("threads"), "threads", int),
            boundaries=tuple(_numbers(document, "boundaries", int)),
            layer_s=tuple(
                None if each is None else float(each)
                for each in _numbers(document, "layer_s", int, float, type(None))
            ),
            stage_s=float(_number(document.get("stage_s"), "stage_s", int, float)),
            refusals=tuple(_refusals(document.get("refusals"))),
        )
    except (ValueError, OverflowError) as error:
        raise DeviceError(f"a capability is not sound: {error}") from error


def _conditions(document: object) -> Conditions:
    if not isinstance(document, Mapping):
        raise DeviceError("a capability's conditions must be a JSON object")
    hints = get_type_hints(Conditions)
    given: dict[str, Any] = {}
    for each in fields(Conditions):
        value = document.get(each.name)
        if hints[each.name] is int:
            given[each.name] = _number(value, each.name, int)
        elif isinstance(value, str) and len(value) <= _MAX_TEXT_CHARS and value.isprintable():
            given[each.name] = value
        else:
            raise DeviceError(f"a capability's {each.name} must be a short text")
    return Conditions(**given)


def _refusals(documents: object) -> Iterator[Refusal]:
    if not isinstance(documents, list) or len(documents) > MAX_REFUSALS:
        raise DeviceError(f"a capability's refusals must be a list of at most {MAX_REFUSALS}")
    for one in documents:
        if not isinstance(one, Mapping) or not isinstance(one.get("reason"), str):
            raise DeviceError("a capability's refusals must be JSON objects with a reason")
        start, stop = (_number(one.get(key), key, int) for key in ("start", "stop"))
        yield Refusal(
            start=start,
            stop=stop,
            reason=one["reason"],
            lasts=_number(one.get("lasts"), "lasts", bool),
        )


def _numbers(document: Mapping[str, Any], key: str, *kinds: type) -> list[Any]:
    values = document.get(key)
    if not isinstance(values, list) or len(values) > MAX_PIECES + 1:
        raise DeviceError(
            f"a capability's {key} must be a list of at most {MAX_PIECES + 1} numbers"
        )
    return [_number(value, key, *kinds) for value in values]


def _number(value: Any, key: str, *kinds: type) -> Any:
    if type(value) not in kinds:  # bool is an int to isinstance
        raise DeviceError(f"a capability's {key} must hold numbers")
    return value
