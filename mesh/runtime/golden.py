"""The inputs of a model's golden check, drawn the same everywhere, and when two results are equal.

Who runs the model and what a mismatch leads to is decided elsewhere.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mesh.errors import UnsupportedModelError
from mesh.model.tensor import DataType, TensorSpec

NEWEST_DRAW = 2
"""How inputs are drawn. Runs recorded with draw 1, which knew 0 and 1 alone for INT16, are kept."""
FLOAT_TOLERANCE = 1e-3
"""Of the largest expected magnitude. x86 against ARM differed by up to 1.3e-6, 2.14 against 2.3 by 3e-5."""
INTEGER_TOLERANCE = 4
"""In quanta. x86 against ARM and 2.14 against 2.3 differed by up to 3."""

_FLOATS = frozenset({DataType.FP16, DataType.FP32, DataType.FP64})
_QUANTISED = {
    1: frozenset({DataType.UINT8, DataType.INT8}),
    2: frozenset({DataType.UINT8, DataType.INT8, DataType.INT16}),
}
"""By draw: what an activation may be. 16-bit activations with 8-bit weights are TFLite's 16x8 scheme."""


def golden_inputs(
    specs: Sequence[TensorSpec], seed: int = 0, *, draw: int = NEWEST_DRAW
) -> tuple[bytes, ...]:
    """Raw little-endian tensors: floats uniform in [0, 1), 8- and 16-bit activations over their range.

    Anything else may be an index or a mask, where only 0 and 1 are valid in nearly every model.

    Raises: UnsupportedModelError for a draw that is not known yet.
    """
    if draw not in _QUANTISED:
        raise UnsupportedModelError(
            f"the recorded run has inputs of draw {draw}, this node knows up to {NEWEST_DRAW}: "
            "update it, or remove the model and add it again"
        )
    return tuple(_draw(place, spec, seed, _QUANTISED[draw]) for place, spec in enumerate(specs))


def _draw(place: int, spec: TensorSpec, seed: int, quantised: frozenset[DataType]) -> bytes:
    count = spec.size_bytes // spec.data_type.itemsize_bytes
    raw = _random_bytes(f"mesh golden input {place}, seed {seed}", 2 * count)
    if spec.data_type in quantised:
        return raw[: spec.size_bytes]
    halves = np.frombuffer(raw, "<u2")
    if spec.data_type in _FLOATS:
        # 11 bits are exact in every float type, FP16 included.
        return ((halves >> 5) / 2048.0).astype(spec.data_type.numpy_name).tobytes()
    return (halves & 1).astype(spec.data_type.numpy_name).tobytes()


def _random_bytes(seed: str, count: int) -> bytes:
    """SHAKE-128 (FIPS 202) as a generator: the same on every platform, Python and NumPy."""
    return hashlib.shake_128(seed.encode()).digest(count)


def outputs_match(
    expected: Sequence[bytes],
    actual: Sequence[bytes],
    specs: Sequence[TensorSpec],
    *,
    same_kernel_class: bool,
) -> bool:
    """Bit for bit within one kernel class, else within the tolerances above."""
    if not len(expected) == len(actual) == len(specs):
        return False
    if same_kernel_class:
        return all(bytes(one) == bytes(other) for one, other in zip(expected, actual, strict=True))
    return all(map(_is_close, expected, actual, specs))


def _is_close(expected: bytes, actual: bytes, spec: TensorSpec) -> bool:
    if not len(expected) == len(actual) == spec.size_bytes:
        return False
    one, other = (np.frombuffer(raw, spec.data_type.numpy_name) for raw in (expected, actual))
    if spec.data_type in _FLOATS:
        return _floats_are_close(one.astype(np.float64), other.astype(np.float64))
    if spec.data_type is DataType.BOOL:
        return bool(np.array_equal(one, other))
    # Seen as unsigned, larger − smaller is exact even where the signed difference overflows.
    unsigned = f"<u{spec.data_type.itemsize_bytes}"
    steps = np.maximum(one, other).view(unsigned) - np.minimum(one, other).view(unsigned)
    return bool(np.all(steps <= INTEGER_TOLERANCE))


def _floats_are_close(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> bool:
    finite = np.isfinite(one)
    # NaN and infinities must stand at the same places.
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return False
    if not finite.any():
        return True
    allowed = FLOAT_TOLERANCE * np.max(np.abs(one[finite]))
    return bool(np.all(np.abs(one[finite] - other[finite]) <= allowed))
