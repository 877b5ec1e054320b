"""What a node can do with one model: measured seconds per layer piece, under named conditions."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, get_type_hints

from mesh.errors import DeviceError
from mesh.ids import ModelId
from mesh.model.tensor import LayerRange

MAX_PIECES = 4096
_MAX_TEXT_CHARS = 256
_MAX_SECONDS = 86400.0
_MAX_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Under which a measurement holds: any other value asks for a new one."""

    model_id: ModelId
    kernel_class: str
    device_profile: str
    power_mode: str
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """`layer_s[i]` seconds for the layers between `boundaries[i]` and `boundaries[i + 1]`.

    A stage takes the sum of its pieces plus `stage_s` once (call, copies). The boundaries are the
    cut positions that a plan may use, from 0 to the model's number of layers. It checks itself:
    ValueError.
    """

    conditions: Conditions
    boundaries: tuple[int, ...]
    layer_s: tuple[float, ...]
    stage_s: float

    def __post_init__(self) -> None:
        if not 1 <= len(self.layer_s) == len(self.boundaries) - 1 <= MAX_PIECES:
            raise ValueError("there must be one boundary more than pieces")
        if self.boundaries[0] != 0 or not _increases(self.boundaries):
            raise ValueError("boundaries must increase from 0")
        for seconds in (*self.layer_s, self.stage_s):
            if not 0.0 <= seconds <= _MAX_SECONDS:  # also refuses NaN
                raise ValueError(f"{seconds} is not a sound number of seconds")

    def predict_s(self, layers: LayerRange) -> float:
        """The time of one invoke of a stage. Raises: ValueError where it does not end at boundaries."""
        if not {layers.start, layers.stop} <= set(self.boundaries):
            raise ValueError(f"layers {layers} do not start and stop at measured boundaries")
        start, stop = self.boundaries.index(layers.start), self.boundaries.index(layers.stop)
        return math.fsum(self.layer_s[start:stop]) + self.stage_s


def _increases(numbers: tuple[int, ...]) -> bool:
    return all(one < other for one, other in pairwise(numbers))


def choose_threads(configured: int, cores: int) -> int:
    """How many threads an interpreter gets: as configured, else one per core, at most 4.

    Beyond four, small boards have no faster cores left and TFLite's gain falls off.
    """
    return configured if configured > 0 else max(1, min(cores, _MAX_THREADS))


def to_document(capability: Capability) -> dict[str, Any]:
    """As plain values for JSON."""
    return {
        **asdict(capability.conditions),
        "boundaries": list(capability.boundaries),
        "layer_s": list(capability.layer_s),
        "stage_s": capability.stage_s,
    }


def from_document(document: object) -> Capability:
    """The reverse; the document may come from anywhere. Raises: DeviceError naming the key."""
    if not isinstance(document, Mapping):
        raise DeviceError("a capability must be a JSON object")
    try:
        return Capability(
            conditions=_conditions(document),
            boundaries=tuple(_numbers(document, "boundaries", int)),
            layer_s=tuple(float(each) for each in _numbers(document, "layer_s", int, float)),
            stage_s=float(_number(document.get("stage_s"), "stage_s", int, float)),
        )
    except (ValueError, OverflowError) as error:
        raise DeviceError(f"a capability is not sound: {error}") from error


def _conditions(document: Mapping[str, Any]) -> Conditions:
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
