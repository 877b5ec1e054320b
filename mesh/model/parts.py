"""Turns the decoded tables of the main subgraph into tensors, operators and buffers, indices checked."""

import math
from collections.abc import Sequence

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.limits import Limits
from mesh.model.model import Operator, Tensor
from mesh.model.schema import OPERATOR_NAMES, TENSOR_TYPE_NAMES
from mesh.model.table import Table
from mesh.model.tensor import DataType

DATA_TYPES = {
    "BOOL": DataType.BOOL,
    "FLOAT16": DataType.FP16,
    "FLOAT32": DataType.FP32,
    "FLOAT64": DataType.FP64,
    "INT8": DataType.INT8,
    "INT16": DataType.INT16,
    "INT32": DataType.INT32,
    "INT64": DataType.INT64,
    "UINT8": DataType.UINT8,
    "UINT16": DataType.UINT16,
    "UINT32": DataType.UINT32,
    "UINT64": DataType.UINT64,
}
_OTHER_BITS = {
    "BFLOAT16": 16,
    "COMPLEX64": 64,
    "COMPLEX128": 128,
    "FLOAT8_E4M3FN": 8,
    "FLOAT8_E5M2": 8,
    "INT2": 2,
    "INT4": 4,
    "UINT4": 4,
}
BITS = {name: 8 * kind.itemsize_bytes for name, kind in DATA_TYPES.items()} | _OTHER_BITS


def read_buffers(model: Table, file: memoryview) -> tuple[memoryview | None, ...]:
    """Each buffer's content: None where it has none. Content beside the flatbuffer is found too."""
    buffers = tuple(
        _buffer(index, table, file) for index, table in enumerate(model.tables("buffers"))
    )
    if sum(len(content) for content in buffers if content is not None) > len(file):
        raise InvalidModelError("the model's buffers overlap each other")
    return buffers


def _buffer(index: int, table: Table, file: memoryview) -> memoryview | None:
    if "data" in table.values:
        return table.raw("data")
    offset, size_bytes = table.integer("offset"), table.integer("size")
    # schema.fbs, Buffer.offset: files above 2 GB; 0 and 1 stand for "not used".
    if offset <= 1:
        return None
    if offset + size_bytes > len(file):
        raise InvalidModelError(f"buffer {index} lies beyond the end of the file")
    return file[offset : offset + size_bytes]


class Budget:
    """Counts down the numbers read from shapes and tensor lists, whose vectors may overlap."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._left = limits.max_indices

    def integers(self, table: Table, field: str) -> tuple[int, ...]:
        self._left -= len(table.raw(field)) // 4
        if self._left < 0:
            raise UnsupportedModelError(
                "the model's shapes and operators are longer than the limit"
            )
        return table.integers(field)


def read_tensors(
    subgraph: Table, buffers: Sequence[memoryview | None], limits: Limits, budget: Budget
) -> tuple[Tensor, ...]:
    tensors = tuple(
        _tensor(index, table, budget.integers(table, "shape"), limits)
        for index, table in enumerate(subgraph.tables("tensors"))
    )
    for tensor in tensors:
        if tensor.buffer >= len(buffers):
            raise InvalidModelError(f"tensor {tensor.name!r} has no buffer {tensor.buffer}")
    return tensors


def _tensor(index: int, table: Table, shape: tuple[int, ...], limits: Limits) -> Tensor:
    name = clean(table.text("name")) or f"tensor_{index}"
    code = table.integer("type")
    if not 0 <= code < len(TENSOR_TYPE_NAMES):
        raise UnsupportedModelError(
            f"tensor {name!r} has type {code}, which this version does not know; update the mesh, or "
            "convert the model with an older converter"
        )
    type_name = TENSOR_TYPE_NAMES[code]
    if len(shape) > limits.max_rank:
        raise UnsupportedModelError(
            f"tensor {name!r} has {len(shape)} dimensions; the limit is {limits.max_rank}"
        )
    if min(shape, default=0) < -1:
        raise InvalidModelError(f"tensor {name!r} has a negative dimension")
    size_bytes = -(-math.prod(max(size, 0) for size in shape) * BITS.get(type_name, 0) // 8)
    if size_bytes > limits.max_tensor_bytes:
        raise UnsupportedModelError(
            f"tensor {name!r} takes {size_bytes} bytes; the limit is {limits.max_tensor_bytes}"
        )
    return Tensor(
        index=index,
        name=name,
        type_name=type_name,
        data_type=DATA_TYPES.get(type_name),
        shape=shape,
        size_bytes=size_bytes,
        buffer=table.integer("buffer"),
    )


def read_operators(
    model: Table, subgraph: Table, tensors: int, budget: Budget
) -> tuple[Operator, ...]:
    codes = model.tables("operator_codes")
    return tuple(
        _operator(index, table, codes, tensors, budget)
        for index, table in enumerate(subgraph.tables("operators"))
    )


def _operator(
    index: int, table: Table, codes: tuple[Table, ...], tensors: int, budget: Budget
) -> Operator:
    code = table.integer("opcode_index")
    if code >= len(codes):
        raise InvalidModelError(f"operator {index} has no operator code {code}")
    name = operator_name(codes[code])
    inputs = budget.integers(table, "inputs")
    outputs = budget.integers(table, "outputs")
    used = (*outputs, *(tensor for tensor in inputs if tensor != -1))
    used += tuple(t for t in budget.integers(table, "intermediates") if t != -1)
    if not all(0 <= tensor < tensors for tensor in used):
        raise InvalidModelError(f"operator {index} ({name}) names a tensor that does not exist")
    return Operator(
        index=index,
        name=name,
        version=codes[code].integer("version", default=1),
        inputs=inputs,
        outputs=outputs,
    )


def operator_name(code: Table) -> str:
    """Its name in schema.fbs; the older one-byte field holds it where the newer does not reach."""
    number = max(code.integer("deprecated_builtin_code"), code.integer("builtin_code"))
    if not 0 <= number < len(OPERATOR_NAMES):
        raise UnsupportedModelError(
            f"the model has operator code {number}, which this version does not know; update the "
            "mesh, or convert the model with an older converter"
        )
    if OPERATOR_NAMES[number] == "CUSTOM":
        return f"CUSTOM:{clean(code.text('custom_code'))}"
    return OPERATOR_NAMES[number]


def clean(text: str) -> str:
    """Names from a file as they may be shown: printable characters only."""
    return "".join(char for char in text if char.isprintable())
