"""Cuts a range of layers out of a model as a .tflite file of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mesh.model.cuts import stage_interface
from mesh.model.encoder import encode_pieces
from mesh.model.model import Model, Operator
from mesh.model.table import Table, make_table
from mesh.model.tensor import LayerRange, StageInterface

# Tells XNNPACK that half precision is allowed: without it a slice's numbers would be others.
_CARRIED_METADATA = frozenset({"reduced_precision_support"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceContent:
    """What of the model a slice carries: operators in order, tensors and buffers by index."""

    interface: StageInterface
    operators: tuple[Operator, ...]
    tensors: tuple[int, ...]
    buffers: tuple[int, ...]


def slice_model(model: Model, layers: LayerRange) -> bytes:
    """A .tflite of these layers: inputs as `StageInterface.consumed`, outputs as `.produced`.

    Raises: UnsupportedModelError when the range does not start and stop at legal cuts.
    """
    return b"".join(slice_pieces(model, layers))


def slice_pieces(model: Model, layers: LayerRange) -> tuple[bytes | memoryview, ...]:
    """The same file in consecutive pieces, the weights uncopied: for writing it to disk."""
    content = slice_content(model, layers)
    buffers = {index: at + 1 for at, index in enumerate(content.buffers)}
    codes = {code: at for at, code in enumerate(_code_indices(model, content.operators))}
    return encode_pieces(
        make_table(
            "Model",
            version=model.root.integer("version"),
            description=model.description,
            operator_codes=[model.root.tables("operator_codes")[code] for code in codes],
            subgraphs=[_subgraph(model, content, buffers, codes)],
            buffers=[
                make_table("Buffer"),
                *(make_table("Buffer", data=model.buffers[index]) for index in content.buffers),
            ],
            metadata=[
                entry.replace(buffer=buffers.get(entry.integer("buffer"), 0))
                for entry in _carried_metadata(model)
            ]
            or None,
        )
    )


def slice_content(model: Model, layers: LayerRange) -> SliceContent:
    """Choose what a slice carries. Raises: UnsupportedModelError as `slice_model` does."""
    interface = stage_interface(model, layers)
    inside = model.layers[layers.start : layers.stop]
    produced = [spec.index for spec in interface.produced]
    operators = _with_copies(model, inside, produced)
    tensors = sorted(
        {spec.index for spec in interface.consumed}
        | set(produced)
        | {tensor for op in operators for tensor in (*op.reads, *op.outputs)}
        | {tensor for op in operators for tensor in _intermediates(model, op) if tensor >= 0}
    )
    wanted = {model.tensors[tensor].buffer for tensor in tensors}
    wanted |= {entry.integer("buffer") for entry in _carried_metadata(model)}
    return SliceContent(
        interface=interface,
        operators=operators,
        tensors=tuple(tensors),
        buffers=tuple(
            index for index in sorted(wanted) if index and model.buffers[index] is not None
        ),
    )


def _with_copies(
    model: Model, layers: Sequence[Operator], produced: Iterable[int]
) -> tuple[Operator, ...]:
    """The layers and the copied operators that they or the outputs need, in the file's order."""
    wanted = {tensor for layer in layers for tensor in layer.reads} | set(produced)
    copies = []
    for operator in reversed(model.copied):
        if not wanted.isdisjoint(operator.outputs):
            wanted.update(operator.reads)
            copies.append(operator)
    return tuple(sorted((*layers, *copies), key=lambda operator: operator.index))


def _subgraph(
    model: Model, content: SliceContent, buffers: dict[int, int], codes: dict[int, int]
) -> Table:
    main = model.root.tables("subgraphs")[0]
    tensors = {index: at for at, index in enumerate(content.tensors)}
    tensor_tables = [main.tables("tensors")[index] for index in content.tensors]
    return make_table(
        "SubGraph",
        name=main.text("name") or None,
        tensors=[
            table.replace(buffer=buffers.get(table.integer("buffer"), 0)) for table in tensor_tables
        ],
        inputs=[tensors[spec.index] for spec in content.interface.consumed],
        outputs=[tensors[spec.index] for spec in content.interface.produced],
        operators=[
            _operator(main.tables("operators")[operator.index], tensors, codes)
            for operator in content.operators
        ],
    )


def _operator(table: Table, tensors: dict[int, int], codes: dict[int, int]) -> Table:
    renumbered = {
        field: [tensors.get(index, -1) for index in table.integers(field)]
        for field in ("inputs", "outputs", "intermediates")
        if field in table.values
    }
    plain = table.replace(debug_metadata_index=None)
    code = codes[table.integer("opcode_index")]
    return plain.replace(**make_table("Operator", opcode_index=code, **renumbered).values)


def _code_indices(model: Model, operators: Iterable[Operator]) -> list[int]:
    tables = model.root.tables("subgraphs")[0].tables("operators")
    return sorted({tables[operator.index].integer("opcode_index") for operator in operators})


def _intermediates(model: Model, operator: Operator) -> tuple[int, ...]:
    tables = model.root.tables("subgraphs")[0].tables("operators")
    return tables[operator.index].integers("intermediates")


def _carried_metadata(model: Model) -> list[Table]:
    return [
        entry
        for entry in model.root.tables("metadata")
        if entry.text("name") in _CARRIED_METADATA and entry.integer("buffer") < len(model.buffers)
    ]
