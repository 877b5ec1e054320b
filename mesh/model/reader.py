"""Reads a .tflite file into a Model, or refuses it by name; what a model may be cut into is not here."""

import mmap
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.decoder import decode
from mesh.model.handles import check_kinds, find_handles
from mesh.model.initialisers import read_initialisers
from mesh.model.limits import Limits
from mesh.model.model import Model, Tensor
from mesh.model.names import client_names
from mesh.model.parts import Budget, clean, read_buffers, read_operators, read_tensors
from mesh.model.placement import Placement, place
from mesh.model.requantised import check_scales
from mesh.model.state_pairs import STATE_METADATA, decode_pairs, match_pairs
from mesh.model.support import check_computed, check_constants, check_operators, check_tensors
from mesh.model.table import Table
from mesh.model.tensor import StatePair, TensorSpec
from mesh.model.unpacking import check_not_given_out, check_unpacking

_SCHEMA_VERSION = 3


def read_model(data: bytes | memoryview | mmap.mmap, limits: Limits | None = None) -> Model:
    """The model in the file's bytes, which must stay as they are while the Model lives.

    Raises: InvalidModelError for a damaged file, UnsupportedModelError naming the operator or
    tensor for a sound one that cannot be served.
    """
    limits = limits or Limits()
    file = memoryview(data).cast("B")
    root = decode(file, limits)
    subgraph = main_subgraph(root)
    buffers = read_buffers(root, file)
    budget = Budget(limits)
    tensors = read_tensors(subgraph, buffers, limits, budget)
    operators = read_operators(root, subgraph, len(tensors), budget)
    inputs = _ends(subgraph, "inputs", tensors, budget, limits)
    outputs = _ends(subgraph, "outputs", tensors, budget, limits)
    tables = subgraph.tables("tensors")
    check_operators(operators, subgraph.tables("operators"))
    handles = find_handles(operators, subgraph.tables("operators"), tensors, tables)
    names = client_names(root, tensors, inputs, outputs)
    graph_inputs = tuple(map(_spec, (tensors[i] for i in inputs), names[0]))
    graph_outputs = tuple(map(_spec, (tensors[i] for i in outputs), names[1]))
    state = _state(root, buffers, graph_inputs, graph_outputs)
    variables = {tensor.index for tensor in tensors if tables[tensor.index].integer("is_variable")}
    placement = place(
        operators,
        tensors,
        inputs,
        outputs,
        handles=handles,
        pairs=[(pair.input.index, pair.output.index) for pair in state],
        variables=variables,
    )
    _check(placement, tensors, subgraph, buffers, variables=variables, limits=limits)
    check_not_given_out(placement.copied, tensors, frozenset(outputs))
    initialisers = read_initialisers(root, operators, buffers, budget)
    check_kinds(
        [
            (operators, tensors, handles),
            *((one.operators, one.tensors, one.handles) for one in initialisers),
        ]
    )
    return Model(
        description=clean(root.text("description")),
        metadata_names=tuple(clean(entry.text("name")) for entry in root.tables("metadata")),
        tensors=tensors,
        operators=operators,
        inputs=_but(graph_inputs, [pair.input for pair in state], "inputs"),
        outputs=_but(graph_outputs, [pair.output for pair in state], "outputs"),
        layers=placement.layers,
        copied=placement.copied,
        activations=placement.activations,
        shape_tensors=placement.shape_tensors,
        state=state,
        bonds=placement.bonds,
        graph_inputs=graph_inputs,
        graph_outputs=graph_outputs,
        handles=handles,
        initialisers=initialisers,
        root=root,
        buffers=buffers,
    )


def _state(
    root: Table,
    buffers: Sequence[memoryview | None],
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
) -> tuple[StatePair, ...]:
    content = find_metadata(root, buffers, STATE_METADATA)
    pairs = () if content is None else match_pairs(decode_pairs(content), inputs, outputs)
    given_out = {spec.index for spec in outputs}
    for pair in pairs:
        if pair.input.index in given_out:
            raise UnsupportedModelError(
                f"the state input {pair.input.name!r} is an output as it is; give out the new state "
                "only"
            )
    return pairs


def _but(
    specs: Sequence[TensorSpec], state: Sequence[TensorSpec], what: str
) -> tuple[TensorSpec, ...]:
    """What clients give or get: all but the state, told by its name."""
    kept = {spec.name for spec in state}
    left = tuple(spec for spec in specs if spec.name not in kept)
    if not left:
        raise UnsupportedModelError(
            f"the model has no {what} beside its state; leave one of them out of the state"
        )
    return left


def metadata_content(model: Model, name: str) -> memoryview | None:
    """The content of the model's metadata entry of that name; None when it has none."""
    return find_metadata(model.root, model.buffers, name)


def find_metadata(
    root: Table, buffers: Sequence[memoryview | None], name: str
) -> memoryview | None:
    """The same, of a file that was only decoded."""
    for entry in root.tables("metadata"):
        index = entry.integer("buffer")
        if clean(entry.text("name")) == name and index < len(buffers):
            return buffers[index]
    return None


def main_subgraph(root: Table) -> Table:
    version = root.integer("version")
    if version != _SCHEMA_VERSION:
        raise UnsupportedModelError(f"the model has schema version {version}; only 3 is known")
    subgraphs = root.tables("subgraphs")
    if not subgraphs:
        raise InvalidModelError("the model has no subgraph")
    return subgraphs[0]


def _ends(
    subgraph: Table, field: str, tensors: Sequence[Tensor], budget: Budget, limits: Limits
) -> tuple[int, ...]:
    ends = budget.integers(subgraph, field)
    if not ends:
        raise UnsupportedModelError(f"the model has no {field}; convert it with at least one")
    if len(ends) > limits.max_live_tensors:
        raise UnsupportedModelError(
            f"the model has {len(ends)} {field}; the limit is {limits.max_live_tensors}"
        )
    if not all(0 <= tensor < len(tensors) for tensor in ends):
        raise InvalidModelError(f"the model's {field} name a tensor that does not exist")
    twice = next((tensor for tensor in ends if ends.count(tensor) > 1), None)
    if field == "inputs" and twice is not None:
        raise UnsupportedModelError(
            f"the model names tensor {tensors[twice].name!r} twice among its inputs; convert it "
            "with one input for each"
        )
    return ends


def _check(
    placement: Placement,
    tensors: Sequence[Tensor],
    subgraph: Table,
    buffers: Sequence[memoryview | None],
    *,
    variables: AbstractSet[int],
    limits: Limits,
) -> None:
    """Check the tensors that slices will carry."""
    tables = subgraph.tables("tensors")
    made = {tensor for op in placement.copied for tensor in op.outputs}
    computed = [tensors[index] for index in sorted(placement.activations | made | variables)]
    constants = [tensors[index] for index in sorted(placement.constants)]
    check_tensors((*computed, *constants), tables)
    check_scales((*placement.layers, *placement.copied), tensors, tables)
    check_unpacking((*placement.layers, *placement.copied), tensors)
    check_computed(computed, tables, buffers)
    check_constants(constants, tables, buffers)
    total_bytes = sum(tensor.size_bytes for tensor in computed)
    if total_bytes > limits.max_activation_bytes:
        raise UnsupportedModelError(
            f"the model's activations together take {total_bytes} bytes; the limit is "
            f"{limits.max_activation_bytes}"
        )


def _spec(tensor: Tensor, name: str) -> TensorSpec:
    if tensor.data_type is None:
        raise UnsupportedModelError(
            f"{name!r} has type {tensor.type_name}, which requests and replies cannot carry; "
            "convert the model with numbers as its inputs and outputs"
        )
    if tensor.size_bytes == 0 and -1 not in tensor.shape:
        raise UnsupportedModelError(
            f"{name!r} has shape {list(tensor.shape)} and so no content; convert the model without "
            "it or with a fixed shape"
        )
    return TensorSpec(index=tensor.index, name=name, data_type=tensor.data_type, shape=tensor.shape)
