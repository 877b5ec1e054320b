"""Writes float32 graphs operator by operator, with the shapes that each makes; no layers, no formats."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mesh.model.table import Table, make_table
from mesh.testing.model_builder import ModelBuilder

_OPTIONS = {"ADD": "AddOptions", "DIV": "DivOptions", "MUL": "MulOptions", "SUB": "SubOptions"}


class FloatGraph:
    """Methods add an operator and return the tensor that it makes."""

    def __init__(self, seed: int) -> None:
        self.builder = ModelBuilder()
        self._random = np.random.default_rng(seed)
        self._shapes: dict[int, tuple[int, ...]] = {}

    def shape(self, tensor: int) -> tuple[int, ...]:
        return self._shapes[tensor]

    def tensor(
        self, shape: tuple[int, ...], name: str = "", *, is_variable: bool | None = None
    ) -> int:
        """An activation; without a name its number is one."""
        name = name or f"t{len(self._shapes)}"
        at = self.builder.tensor(name, shape, is_variable=is_variable)
        self._shapes[at] = shape
        return at

    def constant(self, content: NDArray[np.generic] | Sequence[int], name: str = "") -> int:
        """Integers in a list become int32."""
        array = np.asarray(content, None if isinstance(content, np.ndarray) else np.int32)
        at = self.builder.constant(name or f"c{len(self._shapes)}", array)
        self._shapes[at] = array.shape
        return at

    def twin(self, constant: int, shape: tuple[int, ...] | None = None, name: str = "") -> int:
        """Another tensor in the constant's buffer, which may see it in another shape."""
        at = self.builder.twin(name or f"c{len(self._shapes)}", constant, shape)
        self._shapes[at] = shape or self.shape(constant)
        return at

    def weights(self, *shape: int, gain: float = 1.0) -> int:
        """Random weights of variance gain² ÷ the last size."""
        bound = gain * (3 / shape[-1]) ** 0.5
        return self.constant(self._random.uniform(-bound, bound, shape).astype(np.float32))

    def unary(self, name: str, x: int, **fields: float) -> int:
        return self._make(name, [x], self.shape(x), _options(name, fields))

    def binary(self, name: str, x: int, y: int) -> int:
        shape = np.broadcast_shapes(self.shape(x), self.shape(y))
        options = make_table(_OPTIONS[name]) if name in _OPTIONS else None
        return self._make(name, [x, y], shape, options)

    def dense(self, x: int, units: int, *, bias: bool = True, gain: float = 1.0) -> int:
        """Without bias, the operator's third input is left out (−1)."""
        shape = (*self.shape(x)[:-1], units)
        reads = [x, self.weights(units, self.shape(x)[-1], gain=gain)]
        reads.append(self.weights(units) if bias else -1)
        keep = {"keep_num_dims": True} if len(shape) > 2 else {}
        options = make_table("FullyConnectedOptions", **keep)
        return self._make("FULLY_CONNECTED", reads, shape, options, version=5 if keep else 1)

    def concatenate(self, parts: Sequence[int], axis: int = -1) -> int:
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(part)[axis] for part in parts)
        options = make_table("ConcatenationOptions", axis=axis)
        return self._make("CONCATENATION", parts, tuple(shape), options)

    def split(self, x: int, count: int) -> list[int]:
        """Equal parts along the last axis."""
        *rest, size = self.shape(x)
        parts = [self.tensor((*rest, size // count)) for _ in range(count)]
        axis = self.constant(np.array(len(rest), np.int32))
        self.builder.operator(
            "SPLIT", [axis, x], parts, make_table("SplitOptions", num_splits=count)
        )
        return parts

    def reshape(self, x: int, *shape: int) -> int:
        options = make_table("ReshapeOptions", new_shape=shape)
        return self._make("RESHAPE", [x, self.constant(shape)], shape, options)

    def transpose(self, x: int, *order: int) -> int:
        shape = tuple(self.shape(x)[axis] for axis in order)
        options = make_table("TransposeOptions")
        return self._make("TRANSPOSE", [x, self.constant(order)], shape, options)

    def mean(self, x: int) -> int:
        """Over the last axis, which stays with size 1."""
        shape = (*self.shape(x)[:-1], 1)
        options = make_table("ReducerOptions", keep_dims=True)
        return self._make("MEAN", [x, self.constant([len(shape) - 1])], shape, options)

    def product(self, x: int, y: int, *, is_transposed: bool = False) -> int:
        """Of the last two axes: x · y, or x · yᵀ."""
        columns = self.shape(y)[-2 if is_transposed else -1]
        options = make_table("BatchMatMulOptions", adj_y=is_transposed)
        return self._make("BATCH_MATMUL", [x, y], (*self.shape(x)[:-1], columns), options)

    def gather(self, table: int, indices: int, count: int) -> int:
        """Rows of the table; `indices` (1, count) are integers."""
        shape = (1, count, self.shape(table)[-1])
        return self._make("GATHER", [table, indices], shape, make_table("GatherOptions"))

    def _make(
        self,
        name: str,
        reads: Sequence[int],
        shape: tuple[int, ...],
        options: Table | None = None,
        *,
        version: int = 1,
    ) -> int:
        made = self.tensor(shape)
        self.builder.operator(name, reads, [made], options, version=version)
        return made


def _options(name: str, fields: dict[str, float]) -> Table | None:
    tables = {"SOFTMAX": "SoftmaxOptions", "LEAKY_RELU": "LeakyReluOptions", "GELU": "GeluOptions"}
    return make_table(tables[name], **fields) if name in tables else None
