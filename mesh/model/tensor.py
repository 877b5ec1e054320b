"""What a tensor is: data type, shape, name and size; no data."""

import math
from dataclasses import dataclass
from enum import Enum

from mesh.errors import UnsupportedModelError


class DataType(Enum):
    """The element types that may cross a stage boundary; the value is the Open Inference Protocol's name.

    Open Inference Protocol v2, "Tensor Data Types"; TFLite schema.fbs, `enum TensorType`.
    """

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"

    @property
    def itemsize_bytes(self) -> int:
        return _ITEMSIZE_BYTES[self]

    @property
    def numpy_name(self) -> str:
        """The little-endian NumPy dtype string, for example "<f4"."""
        return _NUMPY_NAMES[self]


_NUMPY_NAMES = {
    DataType.BOOL: "|b1",
    DataType.UINT8: "|u1",
    DataType.UINT16: "<u2",
    DataType.UINT32: "<u4",
    DataType.UINT64: "<u8",
    DataType.INT8: "|i1",
    DataType.INT16: "<i2",
    DataType.INT32: "<i4",
    DataType.INT64: "<i8",
    DataType.FP16: "<f2",
    DataType.FP32: "<f4",
    DataType.FP64: "<f8",
}
_ITEMSIZE_BYTES = {data_type: int(name[2:]) for data_type, name in _NUMPY_NAMES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One tensor of the whole model's main subgraph.

    `index` is its index there and names it between stages; `name` is what clients call it (the
    signature's name where the model has one, else the tensor's).
    """

    index: int
    name: str
    data_type: DataType
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * self.data_type.itemsize_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePair:
    """State that is an input and an output: what `output` gives is `input` at the session's next request.

    It starts as zeros. Raises: UnsupportedModelError when the two differ in type or shape.
    """

    input: TensorSpec
    output: TensorSpec

    def __post_init__(self) -> None:
        if self.input.data_type is self.output.data_type and self.input.shape == self.output.shape:
            return
        raise UnsupportedModelError(
            f"state input {_kind(self.input)} cannot take over output {_kind(self.output)}: pair an "
            "input and an output of one type and shape"
        )


def _kind(spec: TensorSpec) -> str:
    return f"{spec.name!r} ({spec.data_type.value} {list(spec.shape)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRange:
    """Consecutive layers [start, stop) of a model, 0-based: indices into `Model.layers`."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise ValueError(f"empty or negative layer range [{self.start}, {self.stop})")

    def __len__(self) -> int:
        return self.stop - self.start

    def __str__(self) -> str:
        return f"{self.start}–{self.stop - 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StageInterface:
    """What a stage receives, computes and sends, as tensors of the whole model.

    `received` = tensors that arrive; `consumed` enter the slice (in the slice's input order): those
    received that it reads, then the inputs of `state`; `produced` leave the slice (in its output
    order), those of `state` last; `sent` ⊆ received ∪ produced go on: what a later stage or the
    reply needs. `sent − produced` only passes by. `state` stays at the stage between the requests
    of a session; `keeps_hidden_state` says that the interpreter itself remembers something.
    """

    received: tuple[TensorSpec, ...]
    consumed: tuple[TensorSpec, ...]
    produced: tuple[TensorSpec, ...]
    sent: tuple[TensorSpec, ...]
    state: tuple[StatePair, ...] = ()
    keeps_hidden_state: bool = False
