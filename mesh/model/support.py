"""Decides whether a model can be served at all, and says by name what stands in the way."""

from collections.abc import Iterable, Sequence

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.model import Operator, Tensor
from mesh.model.operators import CONTROL_FLOW, RUNTIME_ONLY, SIZED_BY_VALUES, STATEFUL
from mesh.model.table import Table

_HANDLE_TYPES = frozenset({"RESOURCE", "STRING", "VARIANT"})
# Their details name other tensors by index, which a slice would renumber.
_INDEXED_QUANTIZATION = frozenset({"BlockwiseQuantization", "MultiAxisQuantization"})

_KEEPS_STATE = "keeps state between runs; convert the model so that state is an input and an output"
_REASONS = {
    **dict.fromkeys(CONTROL_FLOW, "runs other subgraphs; convert the model without control flow"),
    **dict.fromkeys(STATEFUL, _KEEPS_STATE),
    **dict.fromkeys(RUNTIME_ONLY, "belongs to one runtime; use the model without a delegate"),
    **dict.fromkeys(
        SIZED_BY_VALUES,
        "makes a tensor whose size depends on values; convert the model with fixed sizes",
    ),
}


def check_operators(operators: Sequence[Operator], tables: Sequence[Table]) -> None:
    """Raises: UnsupportedModelError for the first operator that cannot run in a slice."""
    for operator, table in zip(operators, tables, strict=True):
        reason = _operator_reason(operator, table)
        if reason is not None:
            raise UnsupportedModelError(f"operator {operator.index} ({operator.name}) {reason}")


def _operator_reason(operator: Operator, table: Table) -> str | None:
    if operator.name.startswith("CUSTOM:"):
        return "is a custom operator; convert the model with builtin operators only"
    if any(table.raw("mutating_variable_inputs")):
        return _KEEPS_STATE
    if len(table.raw("custom_options")) or table.integer("large_custom_options_offset"):
        return "has custom options, which builtin operators should not have"
    return _REASONS.get(operator.name)


def check_tensors(tensors: Iterable[Tensor], tables: Sequence[Table]) -> None:
    """Raises: UnsupportedModelError for the first of these tensors that a slice cannot carry."""
    for tensor in tensors:
        reason = _tensor_reason(tensor, tables[tensor.index])
        if reason is not None:
            raise UnsupportedModelError(f"tensor {tensor.name!r} {reason}")


def _tensor_reason(tensor: Tensor, table: Table) -> str | None:
    if table.integer("is_variable"):
        return "is a variable; convert the model so that state is an input and an output"
    if tensor.type_name in _HANDLE_TYPES:
        return f"has type {tensor.type_name}, which cannot be sent"
    if table.integer("external_buffer"):
        return "has its content in another file; convert the model into one file"
    quantization = table.table("quantization")
    details = quantization.table("details") if quantization else None
    if details is not None and details.name in _INDEXED_QUANTIZATION:
        return f"has {details.name}, which cannot be cut"
    # Keras models leave the batch open: they run, and are cut, as the file's shape has it.
    signature = table.integers("shape_signature")
    if -1 in tensor.shape or -1 in signature[1:]:
        return "has a size that is not fixed; convert the model with a fixed input shape"
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
    """Raises: InvalidModelError for a constant whose content is missing or of another size."""
    for tensor in tensors:
        content = buffers[tensor.buffer] if tensor.buffer else None
        found_bytes = 0 if content is None else len(content)
        is_sparse = tables[tensor.index].table("sparsity") is not None
        if found_bytes != tensor.size_bytes and not (is_sparse and found_bytes):
            raise InvalidModelError(
                f"constant {tensor.name!r} has {found_bytes} bytes of {tensor.size_bytes}"
            )
