"""Turns the numbers of Open Inference Protocol JSON into raw little-endian bytes and back, exactly.

Strict: no boolean is a number, no float is an integer, nothing is clipped. FP32 and FP16 numbers
convert as NumPy's `float32(float64)` does and come back bit for bit; JSON has no NaN or infinity,
so those three travel as the strings "NaN", "Infinity" and "-Infinity", as in protobuf's JSON
mapping (a NaN's payload bits are not kept). What a request is, `oip` decides.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mesh.errors import BadPayloadError, WrongDatatypeError, WrongShapeError
from mesh.model.tensor import DataType

_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_FLOATS = frozenset({DataType.FP16, DataType.FP32, DataType.FP64})


def to_bytes(name: str, data_type: DataType, shape: Sequence[int], data: Any) -> bytes:
    """Convert JSON `data`, flat or nested as `shape` says, to raw bytes in row-major order.

    Raises: BadPayloadError (not a list of numbers, or a number out of range), WrongShapeError,
    WrongDatatypeError (a number of another kind).
    """
    flat = _flatten(name, shape, data)
    if data_type is DataType.BOOL:
        return _booleans(name, flat)
    if data_type in _FLOATS:
        return _floats(name, data_type, flat)
    return _integers(name, data_type, flat)


def to_list(data_type: DataType, data: bytes | memoryview) -> list[Any]:
    """Convert raw bytes to a flat list that `json.dumps` writes without losing a bit."""
    values = np.frombuffer(data, dtype=data_type.numpy_name)
    if data_type not in _FLOATS:
        return list(values.tolist())
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        numbers: list[Any] = values.astype(np.float64).tolist()
    for position in np.flatnonzero(~np.isfinite(values)):
        numbers[position] = _spelled(numbers[position])
    return numbers


def to_json_number(number: float) -> float | str:
    """One number as `to_list` has it."""
    return number if math.isfinite(number) else _spelled(number)


def from_json_number(raw: Any) -> float:
    """Read what `to_json_number` wrote. Raises: ValueError."""
    if type(raw) is str and raw in _NON_FINITE:
        return _NON_FINITE[raw]
    if type(raw) not in (int, float):
        raise ValueError("a number is expected")
    number: float = raw
    return number


def _spelled(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _flatten(name: str, shape: Sequence[int], data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise BadPayloadError(f'"data" of {name!r} must be a list of numbers')
    level = _unnest(name, shape, data) if data and isinstance(data[0], list) else data
    expected = math.prod(shape)
    if len(level) != expected:
        raise WrongShapeError(
            f'"data" of {name!r} has {len(level)} elements, its shape {list(shape)} has {expected}'
        )
    return level


def _unnest(name: str, shape: Sequence[int], data: list[Any]) -> list[Any]:
    """Take the dimensions off one by one (no recursion: nesting is the sender's choice)."""
    level: list[Any] = [data]
    for size in shape:
        if any(type(part) is not list or len(part) != size for part in level):
            raise WrongShapeError(
                f'"data" of {name!r} is not nested as its shape {list(shape)} says'
            )
        level = list(itertools.chain.from_iterable(level))
    return level


def _kinds(flat: list[Any]) -> set[type]:
    return set(map(type, flat))


def _wrong_kind(name: str, data_type: DataType, found: set[type]) -> Exception:
    names = {bool: "booleans", int: "integers", float: "fractions", str: "strings", list: "lists"}
    listed = ", ".join(sorted(names.get(kind, "null or objects") for kind in found))
    return WrongDatatypeError(
        f'"data" of {name!r} must hold {data_type.value} only, found {listed}'
    )


def _booleans(name: str, flat: list[Any]) -> bytes:
    found = _kinds(flat) - {bool}
    if found:
        raise _wrong_kind(name, DataType.BOOL, found)
    return bytes(flat)


def _integers(name: str, data_type: DataType, flat: list[Any]) -> bytes:
    found = _kinds(flat) - {int}
    if found:
        raise _wrong_kind(name, data_type, found)
    limits = np.iinfo(data_type.numpy_name)
    if flat and not limits.min <= min(flat) <= max(flat) <= limits.max:
        raise BadPayloadError(
            f'"data" of {name!r} has a number outside {data_type.value}: '
            f"{limits.min} to {limits.max} are possible"
        )
    return np.array(flat, dtype=data_type.numpy_name).tobytes()


def _floats(name: str, data_type: DataType, flat: list[Any]) -> bytes:
    infinite = 0
    if str in _kinds(flat):
        infinite = sum(item in {"Infinity", "-Infinity"} for item in flat if type(item) is str)
        flat = [_NON_FINITE.get(item, item) if type(item) is str else item for item in flat]
    found = _kinds(flat) - {int, float}
    if found:
        raise _wrong_kind(name, data_type, found)
    return _convert(name, data_type, flat, infinite=infinite)


def _convert(name: str, data_type: DataType, flat: list[Any], *, infinite: int) -> bytes:
    """Round to the data type; no finite number may become infinite (`infinite` were so before)."""
    try:
        wide: npt.NDArray[np.float64] = np.array(flat, dtype=np.float64)
    except OverflowError:
        raise _too_large(name, data_type) from None
    with np.errstate(over="ignore", under="ignore"):
        narrow = wide.astype(data_type.numpy_name)
    if int(np.isinf(narrow).sum()) != infinite:
        raise _too_large(name, data_type)
    return narrow.tobytes()


def _too_large(name: str, data_type: DataType) -> Exception:
    largest = float(np.finfo(data_type.numpy_name).max)
    return BadPayloadError(
        f'"data" of {name!r} has a number outside {data_type.value}: the largest is {largest:.8g}'
    )
