"""Reads a .tflite file into a Model, or refuses it by name; what a model may be cut into is not here."""

import mmap
from collections.abc import Sequence

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.decoder import decode
from mesh.model.limits import Limits
from mesh.model.model import Model, Tensor
from mesh.model.names import client_names
from mesh.model.parts import Budget, clean, read_buffers, read_operators, read_tensors
from mesh.model.placement import Placement, place
from mesh.model.support import (
    check_computed,
    check_constants,
    check_operators,
    check_tensors,
)
from mesh.model.table import Table
from mesh.model.tensor import TensorSpec

_SCHEMA_VERSION = 3


def read_model(data: bytes | memoryview | mmap.mmap, limits: Limits | None = None) -> Model:
    """The model in the file's bytes, which must stay as they are while the Model lives.

    Raises: InvalidModelError for a damaged file, UnsupportedModelError naming the operator or
    tensor for a sound one that cannot be served.
    """
    limits = limits or Limits()
    file = memoryview(data).cast("B")
    root = decode(file, limits)
    subgraph = _main_subgraph(root)
    buffers = read_buffers(root, file)
    budget = Budget(limits)
    tensors = read_tensors(subgraph, buffers, limits, budget)
    operators = read_operators(root, subgraph, len(tensors), budget)
    inputs = _ends(subgraph, "inputs", len(tensors), budget)
    outputs = _ends(subgraph, "outputs", len(tensors), budget)
    check_operators(operators, subgraph.tables("operators"))
    placement = place(operators, tensors, inputs, outputs)
    _check(placement, tensors, subgraph, buffers, limits)
    names = client_names(root, tensors, inputs, outputs)
    return Model(
        description=clean(root.text("description")),
        metadata_names=tuple(clean(entry.text("name")) for entry in root.tables("metadata")),
        tensors=tensors,
        operators=operators,
        inputs=tuple(_spec(tensors[index], names[0][index]) for index in inputs),
        outputs=tuple(_spec(tensors[index], names[1][index]) for index in outputs),
        layers=placement.layers,
        copied=placement.copied,
        activations=placement.activations,
        shape_tensors=placement.shape_tensors,
        root=root,
        buffers=buffers,
    )


def metadata_content(model: Model, name: str) -> memoryview | None:
    """The content of the model's metadata entry of that name; None when it has none."""
    for entry in model.root.tables("metadata"):
        index = entry.integer("buffer")
        if clean(entry.text("name")) == name and index < len(model.buffers):
            return model.buffers[index]
    return None


def _main_subgraph(root: Table) -> Table:
    version = root.integer("version")
    if version != _SCHEMA_VERSION:
        raise UnsupportedModelError(f"the model has schema version {version}; only 3 is known")
    subgraphs = root.tables("subgraphs")
    if not subgraphs:
        raise InvalidModelError("the model has no subgraph")
    return subgraphs[0]


def _ends(subgraph: Table, field: str, tensors: int, budget: Budget) -> tuple[int, ...]:
    ends = budget.integers(subgraph, field)
    if not ends:
        raise UnsupportedModelError(f"the model has no {field}")
    if not all(0 <= tensor < tensors for tensor in ends):
        raise InvalidModelError(f"the model's {field} name a tensor that does not exist")
    if len(set(ends)) < len(ends):
        raise UnsupportedModelError(f"the model names one tensor twice among its {field}")
    return ends


def _check(
    placement: Placement,
    tensors: Sequence[Tensor],
    subgraph: Table,
    buffers: Sequence[memoryview | None],
    limits: Limits,
) -> None:
    """Check the tensors that slices will carry."""
    tables = subgraph.tables("tensors")
    made = {tensor for op in placement.copied for tensor in op.outputs}
    computed = [tensors[index] for index in sorted(placement.activations | made)]
    constants = [tensors[index] for index in sorted(placement.constants)]
    check_tensors((*computed, *constants), tables)
    check_computed(computed, tables, buffers)
    check_constants(constants, tables, buffers)
    if sum(tensor.size_bytes for tensor in computed) > limits.max_total_bytes:
        raise UnsupportedModelError("the model's activations together are larger than the limit")


def _spec(tensor: Tensor, name: str) -> TensorSpec:
    if tensor.data_type is None or tensor.size_bytes == 0:
        raise UnsupportedModelError(
            f"{name!r} has type {tensor.type_name} and {tensor.size_bytes} bytes, "
            "which cannot be a model's input or output"
        )
    return TensorSpec(index=tensor.index, name=name, data_type=tensor.data_type, shape=tensor.shape)
