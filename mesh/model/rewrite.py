"""Writes files derived from a model's: with all shapes fixed, or with its state declared.

All else goes over unchanged: tables, signatures, metadata, weights, the files packed behind. Only
weights that lay beside the flatbuffer move into it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.associated_files import find_archive
from mesh.model.decoder import decode
from mesh.model.encoder import encode_pieces
from mesh.model.handles import find_handles
from mesh.model.initialisers import read_initialisers
from mesh.model.limits import Limits
from mesh.model.model import Operator, Tensor
from mesh.model.names import client_names
from mesh.model.parts import Budget, read_buffers, read_operators, read_tensors
from mesh.model.placement import place
from mesh.model.reader import main_subgraph, read_model
from mesh.model.state_pairs import STATE_METADATA, encode_pairs, match_pairs
from mesh.model.support import check_constants, check_operators, check_tensors
from mesh.model.table import Table, make_table

Pieces = tuple[bytes | memoryview, ...]
Shape = tuple[int, ...]

_PADDING_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInput:
    """A graph input; `shape` has −1 where the size is open, `present` is what the file has there."""

    index: int
    name: str
    shape: Shape
    present: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A model file whose shapes may still be open; `read_model` takes it when they are fixed.

    `shape_tensors` are computed from shapes and decide shapes: when those are fixed, so are they.
    """

    inputs: tuple[OpenInput, ...]
    has_open_shapes: bool
    shape_tensors: tuple[int, ...]
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    root: Table = field(repr=False)
    file: memoryview = field(repr=False)

    @property
    def needs_fixing(self) -> bool:
        """Whether sizes are open: but for a batch, which `read_model` takes as the file has it."""
        return self.has_open_shapes or bool(self.shape_tensors)

    def choose(self, wanted: Mapping[str, Shape]) -> dict[int, Shape]:
        """A shape for each input by its index: the wanted one, else the file's, its batch as it is.

        Raises: UnsupportedModelError naming the input that needs a shape, or whose shape is odd.
        """
        names = [one.name for one in self.inputs]
        unknown = next((name for name in wanted if name not in names), None)
        if unknown is not None:
            raise UnsupportedModelError(
                f"the model has no input {unknown!r:.260}; its inputs: {', '.join(names):.500}"
            )
        return {one.index: _chosen(one, wanted.get(one.name)) for one in self.inputs}


def _chosen(one: OpenInput, wanted: Shape | None) -> Shape:
    if wanted is None:
        if -1 in one.shape[1:]:
            raise UnsupportedModelError(
                f"input {one.name!r} has shape {_text(one.shape)}, where ? is open: say how large, "
                f"as --input-shape {one.name}={_example(one.shape)} with numbers for N"
            )
        return one.present
    if len(wanted) != len(one.shape) or min(wanted, default=1) < 1:
        raise UnsupportedModelError(
            f"input {one.name!r} has shape {_text(one.shape)}: a shape for it has {len(one.shape)} "
            f"sizes of at least 1, and {_text(wanted)} has not"
        )
    return wanted


def _example(shape: Shape) -> str:
    return ",".join("N" if size < 0 else str(size) for size in shape)


def _text(shape: Shape) -> str:
    return "[" + ", ".join("?" if size < 0 else str(size) for size in shape) + "]"


def read_draft(data: bytes | memoryview, limits: Limits | None = None) -> Draft:
    """Read a file as far as its shapes. Raises: InvalidModelError, UnsupportedModelError."""
    limits = limits or Limits()
    file = memoryview(data).cast("B")
    root = decode(file, limits)
    subgraph = main_subgraph(root)
    budget = Budget(limits)
    buffers = read_buffers(root, file)
    tensors = read_tensors(subgraph, buffers, limits, budget)
    operators = read_operators(root, subgraph, len(tensors), budget)
    check_operators(operators, subgraph.tables("operators"))
    inputs, outputs = (subgraph.integers(side) for side in ("inputs", "outputs"))
    if not all(0 <= tensor < len(tensors) for tensor in (*inputs, *outputs)):
        raise InvalidModelError("the model's inputs or outputs name a tensor that does not exist")
    tables = subgraph.tables("tensors")
    handles = find_handles(operators, subgraph.tables("operators"), tensors, tables)
    variables = {tensor.index for tensor in tensors if tables[tensor.index].integer("is_variable")}
    placement = place(operators, tensors, inputs, outputs, handles=handles, variables=variables)
    # An interpreter will run it before `read_model` sees it.
    constants = [tensors[index] for index in sorted(placement.constants)]
    check_tensors(constants, tables)
    check_constants(constants, tables, buffers)
    read_initialisers(root, operators, buffers, budget)
    names, _ = client_names(root, tensors, inputs, outputs)
    shapes = [_open_shape(tensor.shape, tables[tensor.index]) for tensor in tensors]
    return Draft(
        inputs=tuple(
            OpenInput(
                index=index,
                name=name,
                shape=shapes[index],
                present=tuple(max(size, 1) for size in tensors[index].shape),
            )
            for index, name in zip(inputs, names, strict=True)
        ),
        has_open_shapes=any(-1 in shape[1:] for shape in shapes)
        or any(-1 in tensor.shape for tensor in tensors),
        shape_tensors=tuple(sorted(placement.shape_tensors)),
        tensors=tensors,
        operators=operators,
        root=root,
        file=file,
    )


def _open_shape(shape: Shape, table: Table) -> Shape:
    """schema.fbs, Tensor.shape_signature: the shape with −1 where the size is unknown."""
    signature = table.integers("shape_signature")
    return signature if len(signature) == len(shape) else shape


def probe_pieces(draft: Draft) -> Pieces:
    """The file for an interpreter that is to say all shapes: its `shape_tensors` are outputs too.

    An interpreter reuses the memory of every other tensor while it runs.
    """
    main = draft.root.tables("subgraphs")[0]
    outputs = [*main.integers("outputs"), *draft.shape_tensors]
    changed = main.replace(**make_table("SubGraph", outputs=outputs).values)
    subgraphs = (changed, *draft.root.tables("subgraphs")[1:])
    return _written(draft.root.replace(subgraphs=subgraphs), draft.file)


def with_shapes(
    draft: Draft, shapes: Sequence[Shape | None], contents: Mapping[int, bytes]
) -> Pieces:
    """The file with these shapes, one per tensor of the main subgraph; None where it stays open.

    `contents` are those of the `shape_tensors`, which become constants.
    Raises: UnsupportedModelError naming a tensor that stays open, and who makes it.
    """
    main = draft.root.tables("subgraphs")[0]
    used = {tensor for op in draft.operators for tensor in (*op.reads, *op.outputs)}
    buffers = list(draft.root.tables("buffers"))
    tables = []
    for tensor, table, shape in zip(draft.tensors, main.tables("tensors"), shapes, strict=True):
        if shape is None and tensor.index in used:
            raise UnsupportedModelError(_open_reason(draft, tensor))
        fixed = make_table("Tensor", shape=tensor.shape if shape is None else shape).values
        changed = table.replace(**fixed, shape_signature=None)
        if tensor.index in contents:
            changed = changed.replace(buffer=len(buffers))
            buffers.append(make_table("Buffer", data=memoryview(contents[tensor.index])))
        tables.append(changed)
    operators = [
        table
        for table, operator in zip(main.tables("operators"), draft.operators, strict=True)
        if not operator.outputs or not contents.keys() >= set(operator.outputs)
    ]
    subgraph = main.replace(tensors=tuple(tables), operators=tuple(operators))
    subgraphs = (subgraph, *draft.root.tables("subgraphs")[1:])
    return _written(draft.root.replace(subgraphs=subgraphs, buffers=tuple(buffers)), draft.file)


def _open_reason(draft: Draft, tensor: Tensor) -> str:
    maker = next((op for op in draft.operators if tensor.index in op.outputs), None)
    by = f", which operator {maker.index} ({maker.name}) makes," if maker else ""
    return (
        f"the size of tensor {tensor.name!r}{by} is known only when the model runs; convert it with "
        "sizes that do not depend on values"
    )


def with_state(
    data: bytes | memoryview, names: Sequence[tuple[str, str]], limits: Limits | None = None
) -> Pieces:
    """The file with these (input name, output name) pairs declared as state, instead of any before.

    Raises: InvalidModelError, UnsupportedModelError as `read_model`, or where a pair does not fit.
    """
    file = memoryview(data).cast("B")
    model = read_model(file, limits)
    match_pairs(names, model.graph_inputs, model.graph_outputs)
    root, buffers = model.root, model.root.tables("buffers")
    others = [one for one in root.tables("metadata") if one.text("name") != STATE_METADATA]
    declared = make_table("Metadata", name=STATE_METADATA, buffer=len(buffers))
    content = make_table("Buffer", data=memoryview(encode_pairs(names)))
    return _written(root.replace(buffers=(*buffers, content), metadata=(*others, declared)), file)


def _written(root: Table, file: memoryview) -> Pieces:
    contents = read_buffers(root, file)
    buffers = tuple(
        table if content is None or "data" in table.values else make_table("Buffer", data=content)
        for table, content in zip(root.tables("buffers"), contents, strict=True)
    )
    pieces = encode_pieces(root.replace(buffers=buffers))
    archive = find_archive(file)
    if archive is None:
        return pieces
    size_bytes = sum(len(piece) for piece in pieces)
    padding = bytes(-size_bytes % _PADDING_BYTES)
    return (*pieces, padding, *archive.moved(size_bytes + len(padding)))
