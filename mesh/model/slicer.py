"""Cuts a range of layers out of a model as a .tflite file of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mesh.model.cuts import stage_interface
from mesh.model.encoder import encode_pieces
from mesh.model.initialisers import operators_that_set
from mesh.model.model import Initialiser, Model, Operator
from mesh.model.table import Table, make_table
from mesh.model.tensor import LayerRange, StageInterface

# Tells XNNPACK that half precision is allowed: without it a slice's numbers would be others.
_CARRIED_METADATA = frozenset({"reduced_precision_support"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a slice carries of an initialiser: what sets the hidden state that its layers use."""

    initialiser: Initialiser
    operators: tuple[Operator, ...]
    tensors: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceContent:
    """What of the model a slice carries: operators in order, tensors and buffers by index."""

    interface: StageInterface
    operators: tuple[Operator, ...]
    tensors: tuple[int, ...]
    buffers: tuple[int, ...]
    setups: tuple[Setup, ...]


def slice_model(model: Model, layers: LayerRange) -> bytes:
    """A .tflite of these layers: inputs as `StageInterface.consumed`, outputs as `.produced`.

    Raises: UnsupportedModelError when the range does not start and stop at legal cuts.
    """
    return b"".join(slice_pieces(model, layers))


def slice_pieces(model: Model, layers: LayerRange) -> tuple[bytes | memoryview, ...]:
    """The same file in consecutive pieces, the weights uncopied: for writing it to disk."""
    content = slice_content(model, layers)
    buffers = {index: at + 1 for at, index in enumerate(content.buffers)}
    codes = {code: at for at, code in enumerate(_code_indices(model, content))}
    return encode_pieces(
        make_table(
            "Model",
            version=model.root.integer("version"),
            description=model.description,
            operator_codes=[model.root.tables("operator_codes")[code] for code in codes],
            subgraphs=[
                _main_subgraph(model, content, buffers, codes),
                *(_setup_subgraph(model, setup, buffers, codes) for setup in content.setups),
            ],
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
    setups = _setups(model, inside)
    wanted = {model.tensors[tensor].buffer for tensor in tensors}
    wanted |= {one.initialiser.tensors[tensor].buffer for one in setups for tensor in one.tensors}
    wanted |= {entry.integer("buffer") for entry in _carried_metadata(model)}
    callers = (setup.initialiser.caller for setup in setups)
    return SliceContent(
        interface=interface,
        operators=tuple(sorted((*callers, *operators), key=lambda operator: operator.index)),
        tensors=tuple(tensors),
        buffers=tuple(
            index for index in sorted(wanted) if index and model.buffers[index] is not None
        ),
        setups=setups,
    )


def _setups(model: Model, layers: Sequence[Operator]) -> tuple[Setup, ...]:
    """What sets the hidden state of these layers: each state has all its users in one slice."""
    used = frozenset().union(*(model.handles.get(layer.index, ()) for layer in layers))
    setups = []
    for initialiser in model.initialisers:
        operators = operators_that_set(initialiser, used)
        tensors = {tensor for op in operators for tensor in (*op.reads, *op.outputs)}
        if operators:
            setups.append(
                Setup(initialiser=initialiser, operators=operators, tensors=tuple(sorted(tensors)))
            )
    return tuple(setups)


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


def _main_subgraph(
    model: Model, content: SliceContent, buffers: dict[int, int], codes: dict[int, int]
) -> Table:
    main = model.root.tables("subgraphs")[0]
    setups = {setup.initialiser.caller.index: at for at, setup in enumerate(content.setups)}
    tables = [
        _calling(main.tables("operators")[operator.index], setups.get(operator.index))
        for operator in content.operators
    ]
    return _subgraph(
        main,
        tables,
        content.tensors,
        (buffers, codes),
        inputs=[spec.index for spec in content.interface.consumed],
        outputs=[spec.index for spec in content.interface.produced],
    )


def _setup_subgraph(
    model: Model, setup: Setup, buffers: dict[int, int], codes: dict[int, int]
) -> Table:
    source = model.root.tables("subgraphs")[setup.initialiser.subgraph]
    tables = [source.tables("operators")[operator.index] for operator in setup.operators]
    return _subgraph(source, tables, setup.tensors, (buffers, codes), inputs=(), outputs=())


def _calling(operator: Table, setup: int | None) -> Table:
    """A CALL_ONCE operator, running the slice's own subgraph: those after the main one."""
    if setup is None:
        return operator
    options = make_table("CallOnceOptions", init_subgraph_index=setup + 1)
    return operator.replace(builtin_options=options)


def _subgraph(
    source: Table,
    operators: Sequence[Table],
    tensors: Sequence[int],
    renumbered: tuple[dict[int, int], dict[int, int]],
    *,
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> Table:
    """Some of a subgraph, with its tensors, buffers and operator codes `renumbered`."""
    buffers, codes = renumbered
    places = {index: at for at, index in enumerate(tensors)}
    tables = [source.tables("tensors")[index] for index in tensors]
    return make_table(
        "SubGraph",
        name=source.text("name") or None,
        tensors=[table.replace(buffer=buffers.get(table.integer("buffer"), 0)) for table in tables],
        inputs=[places[index] for index in inputs],
        outputs=[places[index] for index in outputs],
        operators=[_operator(table, places, codes) for table in operators],
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


def _code_indices(model: Model, content: SliceContent) -> list[int]:
    subgraphs = model.root.tables("subgraphs")
    used = [subgraphs[0].tables("operators")[operator.index] for operator in content.operators]
    for setup in content.setups:
        source = subgraphs[setup.initialiser.subgraph].tables("operators")
        used += [source[operator.index] for operator in setup.operators]
    return sorted({table.integer("opcode_index") for table in used})


def _intermediates(model: Model, operator: Operator) -> tuple[int, ...]:
    tables = model.root.tables("subgraphs")[0].tables("operators")
    return tables[operator.index].integers("intermediates")


def _carried_metadata(model: Model) -> list[Table]:
    return [
        entry
        for entry in model.root.tables("metadata")
        if entry.text("name") in _CARRIED_METADATA and entry.integer("buffer") < len(model.buffers)
    ]
