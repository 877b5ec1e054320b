"""Decides whether a model can be served at all, and says by name what stands in the way."""

import math
import struct
from collections.abc import Iterable, Sequence

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.arity import check_arity
from mesh.model.encoding import check_quantization, check_sparsity
from mesh.model.model import Operator, Tensor
from mesh.model.operators import CONTROL_FLOW, RANDOM, RUNTIME_ONLY, SIZED_BY_VALUES
from mesh.model.option_counts import check_option_counts
from mesh.model.parts import BITS
from mesh.model.table import Table

# Their details name other tensors by index, which a slice would renumber.
_INDEXED_QUANTIZATION = frozenset({"BlockwiseQuantization", "MultiAxisQuantization"})

_REASONS = {
    **dict.fromkeys(
        CONTROL_FLOW,
        "runs other subgraphs, which slices do not carry; convert the model without control flow "
        "(unroll loops, compute both branches and select)",
    ),
    **dict.fromkeys(
        RUNTIME_ONLY,
        "was put there by a delegate and runs nowhere else; use the file that was converted first",
    ),
    **dict.fromkeys(
        SIZED_BY_VALUES,
        "makes a tensor whose size depends on values; convert the model with fixed sizes, for "
        "example by selecting or masking instead",
    ),
    **dict.fromkeys(
        RANDOM,
        "draws random numbers, so that no two answers could be held against each other; convert "
        "the model with these numbers as an input",
    ),
}


def check_operators(operators: Sequence[Operator], tables: Sequence[Table]) -> None:
    """Raises: UnsupportedModelError for the first operator that cannot run in a slice.

    Raises: InvalidModelError for one that lacks tensors which its kernel reads.
    """
    check_arity(operators)
    check_option_counts(operators, tables)
    for operator, table in zip(operators, tables, strict=True):
        reason = _operator_reason(operator, table)
        if reason is not None:
            raise UnsupportedModelError(f"operator {operator.index} ({operator.name}) {reason}")


def _operator_reason(operator: Operator, table: Table) -> str | None:
    if operator.name.startswith("CUSTOM:"):
        return (
            "is a custom operator, which no node's interpreter has; convert the model with builtin "
            "operators only"
        )
    if len(table.raw("custom_options")) or table.integer("large_custom_options_offset"):
        return "has options of a custom operator, but is a builtin one; convert the model anew"
    return _REASONS.get(operator.name)


def check_tensors(tensors: Iterable[Tensor], tables: Sequence[Table]) -> None:
    """Raises: UnsupportedModelError for the first of these tensors that a slice cannot carry."""
    for tensor in tensors:
        reason = _tensor_reason(tensor, tables[tensor.index])
        if reason is not None:
            raise UnsupportedModelError(f"tensor {tensor.name!r} {reason}")
        check_quantization(tensor, tables[tensor.index])


def _tensor_reason(tensor: Tensor, table: Table) -> str | None:
    if tensor.type_name == "VARIANT":
        return "has type VARIANT, which slices do not carry; convert the model without lists"
    if table.integer("external_buffer"):
        return "has its content in another file; convert the model into one file that holds its weights"
    quantization = table.table("quantization")
    details = quantization.table("details") if quantization else None
    if details is not None and details.name in _INDEXED_QUANTIZATION:
        return (
            f"is quantised by {details.name}, which slices do not carry; convert the model with one "
            "scale for each tensor or channel"
        )
    # Keras models leave the batch open: they run, and are cut, as the file's shape has it.
    signature = table.integers("shape_signature")
    if -1 in tensor.shape or -1 in signature[1:]:
        return (
            "has a size that is not fixed; add the model with `mesh model add`, which fixes it (give "
            "--input-shape where it is an input's), or convert it with fixed sizes"
        )
    return None


def check_computed(
    tensors: Iterable[Tensor], tables: Sequence[Table], buffers: Sequence[memoryview | None]
) -> None:
    """Check the graph inputs and what operators make.

    Raises: UnsupportedModelError for a sparse one, InvalidModelError for one with fixed content.
    """
    for tensor in tensors:
        if tables[tensor.index].table("sparsity") is not None:
            raise UnsupportedModelError(f"tensor {tensor.name!r} is sparse, but no constant")
        if tensor.buffer and buffers[tensor.buffer]:
            raise InvalidModelError(f"tensor {tensor.name!r} is written to, but has fixed content")


def check_constants(
    tensors: Iterable[Tensor], tables: Sequence[Table], buffers: Sequence[memoryview | None]
) -> None:
    """Raises: InvalidModelError for a constant whose content is missing, too short or too long."""
    texts: set[tuple[int, tuple[int, ...]]] = set()  # many tensors may share one long buffer
    for tensor in tensors:
        content = (buffers[tensor.buffer] if tensor.buffer else None) or memoryview(b"")
        if tensor.type_name == "STRING":
            if (tensor.buffer, tensor.shape) not in texts:
                _check_strings(tensor, content)
            texts.add((tensor.buffer, tensor.shape))
            continue
        sparsity = tables[tensor.index].table("sparsity")
        if sparsity is not None:
            check_sparsity(tensor, sparsity, 8 * len(content) // BITS[tensor.type_name])
        elif len(content) != tensor.size_bytes:
            raise InvalidModelError(
                f"constant {tensor.name!r} has {len(content)} bytes of {tensor.size_bytes}"
            )


def _check_strings(tensor: Tensor, content: memoryview) -> None:
    """Native code follows the offsets in it unchecked.

    Layout: string_util.h of TFLite: count, count + 1 offsets from the start, then the texts.
    """
    count = math.prod(tensor.shape)
    words = count + 2
    if len(content) >= 4 * words:
        found, *offsets = struct.unpack_from(f"<{words}i", content)
        bounds = [4 * words, *offsets, len(content)]
        if found == count and bounds[1] == bounds[0] and bounds == sorted(bounds):
            return
    raise InvalidModelError(f"constant {tensor.name!r} does not hold {count} texts")
