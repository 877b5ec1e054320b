"""Checks how tensors are encoded: quantisation and sparsity, whose numbers native code takes for indices."""

import math
from collections.abc import Sequence

from mesh.errors import InvalidModelError
from mesh.model.model import Tensor
from mesh.model.table import Table

_ZERO_POINTS = {
    "INT8": (-128, 127),
    "UINT8": (0, 255),
    "INT16": (-32768, 32767),
    "UINT16": (0, 65535),
}
_DENSE, _SPARSE_CSR = 0, 1  # schema.fbs, DimensionType


def check_quantization(tensor: Tensor, table: Table) -> None:
    """Raises: InvalidModelError where scales or zero points fit neither the type nor the shape."""
    found = table.table("quantization")
    if found is None:
        return
    scales, zero_points = found.floats("scale"), found.integers("zero_point")
    if not all(math.isfinite(scale) and scale >= 0 for scale in scales):
        raise InvalidModelError(f"tensor {tensor.name!r} has a scale that is no positive number")
    if zero_points and len(zero_points) != len(scales):
        raise InvalidModelError(
            f"tensor {tensor.name!r} has {len(scales)} scales and {len(zero_points)} zero points"
        )
    least, most = _ZERO_POINTS.get(tensor.type_name, (-(1 << 31), (1 << 31) - 1))
    if scales and not all(least <= zero_point <= most for zero_point in zero_points):
        raise InvalidModelError(f"tensor {tensor.name!r} has a zero point beyond its type")
    dimension = found.integer("quantized_dimension")
    if len(scales) > 1 and not (
        0 <= dimension < len(tensor.shape) and tensor.shape[dimension] == len(scales)
    ):
        raise InvalidModelError(
            f"tensor {tensor.name!r} of shape {list(tensor.shape)} has {len(scales)} scales along "
            f"dimension {dimension}"
        )


def check_sparsity(tensor: Tensor, sparsity: Table, values: int) -> None:
    """Follow the levels of a sparse constant that holds so many values.

    schema.fbs, SparsityParameters: levels in `traversal_order`, first the shape's dimensions (in
    blocks), then the blocks' own. Raises: InvalidModelError where an index leads out of the shape.
    """
    order, blocks = sparsity.integers("traversal_order"), sparsity.integers("block_map")
    levels = sparsity.tables("dim_metadata")
    rank = len(tensor.shape)
    if sorted(order) != list(range(rank + len(blocks))) or len(levels) != len(order):
        raise _damaged(tensor, "its levels are not those of its shape")
    if len(set(blocks)) < len(blocks) or not all(0 <= dimension < rank for dimension in blocks):
        raise _damaged(tensor, "its blocks are not along its dimensions")
    sizes = _level_sizes(tensor, blocks, dict(zip(order, levels, strict=True)))
    places = 1
    for dimension, level in zip(order, levels, strict=True):
        places = _places(tensor, level, places, sizes[dimension])
        if places > math.prod(tensor.shape):
            raise _damaged(tensor, "it holds more values than its shape")
    if places != values:
        raise _damaged(tensor, f"it holds {values} values where its levels lead to {places}")


def _level_sizes(tensor: Tensor, blocks: Sequence[int], levels: dict[int, Table]) -> list[int]:
    """The size of each dimension in blocks, then of each block."""
    sizes = list(tensor.shape)
    block_sizes = []
    for at, dimension in enumerate(blocks):
        level = levels[len(tensor.shape) + at]
        size = level.integer("dense_size")
        if level.integer("format") != _DENSE or size < 1 or sizes[dimension] % size:
            raise _damaged(tensor, "its blocks do not divide its shape")
        sizes[dimension] //= size
        block_sizes.append(size)
    return sizes + block_sizes


def _places(tensor: Tensor, level: Table, parents: int, size: int) -> int:
    """How many places there are after this level, of so many before it."""
    if level.integer("format") == _DENSE:
        if level.integer("dense_size") != size:
            raise _damaged(tensor, "a dense level has another size than its dimension")
        return parents * size
    segments, indices = _numbers(level, "array_segments"), _numbers(level, "array_indices")
    if (
        level.integer("format") != _SPARSE_CSR
        or len(segments) != parents + 1
        or segments[0] != 0
        or segments[-1] != len(indices)
        or list(segments) != sorted(segments)
    ):
        raise _damaged(tensor, "a sparse level does not divide its indices among its rows")
    if indices and not (min(indices) >= 0 and max(indices) < size):
        raise _damaged(tensor, "an index lies outside its dimension")
    return len(indices)


def _numbers(level: Table, field: str) -> tuple[int, ...]:
    vector = level.table(field)
    return () if vector is None else vector.integers("values")


def _damaged(tensor: Tensor, reason: str) -> InvalidModelError:
    return InvalidModelError(f"sparse constant {tensor.name!r} is damaged: {reason}")
