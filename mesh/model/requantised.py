"""Checks that 8-bit operators have the scales which their kernels divide by.

A kernel that turns its sums into 8 bits multiplies by input scale × weight scale ÷ output scale; where
one is missing, LiteRT 2.3 and tflite-runtime 2.14 abort their process while they prepare it.
"""

from collections.abc import Iterable, Sequence

from mesh.errors import InvalidModelError
from mesh.model.model import Operator, Tensor
from mesh.model.table import Table

_REQUANTISED = frozenset(
    {
        "ADD",
        "BATCH_MATMUL",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "HARD_SWISH",
        "LEAKY_RELU",
        "LOGISTIC",
        "MUL",
        "PRELU",
        "SOFTMAX",
        "SUB",
        "TANH",
        "TRANSPOSE_CONV",
    }
)
_EIGHT_BIT = frozenset({"INT8", "UINT8"})


def check_scales(
    operators: Iterable[Operator], tensors: Sequence[Tensor], tables: Sequence[Table]
) -> None:
    """`tables` are the tensors' own. Raises: InvalidModelError naming the tensor without scale."""
    sound: set[int] = set()  # many operators may share one tensor with many scales
    for operator in operators:
        if operator.name not in _REQUANTISED or not any(
            tensors[index].type_name in _EIGHT_BIT for index in operator.outputs
        ):
            continue
        for index in (*operator.reads, *operator.outputs):
            if index in sound or tensors[index].type_name not in _EIGHT_BIT:
                continue
            if not _has_scale(tables[index]):
                raise InvalidModelError(
                    f"tensor {tensors[index].name!r} has no scale, which operator {operator.index} "
                    f"({operator.name}) needs; quantise the model anew"
                )
            sound.add(index)


def _has_scale(table: Table) -> bool:
    quantization = table.table("quantization")
    if quantization is None:
        return False
    scales = quantization.floats("scale")
    return bool(scales) and min(scales) > 0
