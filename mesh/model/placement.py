"""Decides which operators are layers, which are copied with the weights, and what fixes shapes."""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.handles import Handles
from mesh.model.model import Bond, Operator, Tensor
from mesh.model.operators import HANDLE_READERS, SHAPE_INPUTS, SHAPE_SOURCES

Pair = tuple[int, int]
"""Explicit state by tensor index: the graph input that takes over, the graph output that it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The fields of the same name in Model, and the constants that layers and copies read."""

    layers: tuple[Operator, ...]
    copied: tuple[Operator, ...]
    activations: frozenset[int]
    shape_tensors: frozenset[int]
    constants: frozenset[int]
    bonds: tuple[Bond, ...]


def place(
    operators: Sequence[Operator],
    tensors: Sequence[Tensor],
    inputs: Sequence[int],
    outputs: Sequence[int],
    *,
    handles: Handles | None = None,
    pairs: Sequence[Pair] = (),
    variables: AbstractSet[int] = frozenset(),
) -> Placement:
    """`inputs` and `outputs` are the graph's, those of `pairs` included.

    Raises: InvalidModelError for operators out of order, UnsupportedModelError for open shapes.
    """
    handles = handles or {}
    makers = check_order(operators, tensors, {*inputs, *variables})
    needed = _needed(operators, outputs, makers, handles)
    _check_outputs(outputs, tensors, variables)
    activations = _activations(needed, inputs, handles)
    layers = tuple(op for op in needed if activations.issuperset(op.outputs))
    if not layers:
        raise UnsupportedModelError(
            "no operator of the model depends on its inputs; convert a model that computes something"
        )
    copied = tuple(op for op in needed if not activations.issuperset(op.outputs))
    read = {tensor for op in needed for tensor in op.reads} | set(outputs)
    constants = frozenset(read - makers.keys() - set(inputs) - variables)
    return Placement(
        layers=layers,
        copied=copied,
        activations=frozenset(activations),
        shape_tensors=_shape_tensors(needed, tensors, makers, constants, handles),
        constants=constants,
        bonds=(*_hidden_bonds(layers, handles), *_pair_bonds(layers, tensors, pairs)),
    )


def _check_outputs(
    outputs: Sequence[int], tensors: Sequence[Tensor], variables: AbstractSet[int]
) -> None:
    """A variable has its content in the stage that uses it, which need not be the last."""
    hidden = next((tensor for tensor in outputs if tensor in variables), None)
    if hidden is not None:
        raise UnsupportedModelError(
            f"the output {tensors[hidden].name!r} is a variable that the model keeps inside; convert "
            "it so that state is an input and an output, or leave the output out"
        )


def _hidden_bonds(layers: Sequence[Operator], handles: Handles) -> tuple[Bond, ...]:
    users: dict[str, list[int]] = {}
    for at, layer in enumerate(layers):
        for name in sorted(handles.get(layer.index, ())):
            users.setdefault(name, []).append(at)
    return tuple(
        Bond(what=name, first=found[0], last=found[-1], is_hidden=True)
        for name, found in users.items()
    )


def _pair_bonds(
    layers: Sequence[Operator], tensors: Sequence[Tensor], pairs: Sequence[Pair]
) -> tuple[Bond, ...]:
    bonds = []
    makers = {tensor: at for at, layer in enumerate(layers) for tensor in layer.outputs}
    readers: dict[int, list[int]] = {given: [] for given, _ in pairs}
    for at, layer in enumerate(layers):
        for tensor in readers.keys() & layer.reads:
            readers[tensor].append(at)
    for given, kept in pairs:
        if kept not in makers:
            raise UnsupportedModelError(
                f"the state output {tensors[kept].name!r} is not computed from the model's inputs; "
                "declare only state that the model changes"
            )
        users = [makers[kept], *readers[given]]
        what = f"state {tensors[given].name!r}"
        bonds.append(Bond(what=what, first=min(users), last=max(users), is_hidden=False))
    return tuple(bonds)


def check_order(
    operators: Sequence[Operator], tensors: Sequence[Tensor], given: Collection[int]
) -> dict[int, Operator]:
    """The operator that makes each tensor: each is made once, before it is read, and not given.

    Raises: InvalidModelError.
    """
    all_made = {tensor for operator in operators for tensor in operator.outputs}
    makers: dict[int, Operator] = {}
    for operator in operators:
        for tensor in operator.reads:
            if tensor in all_made and tensor not in makers:
                raise InvalidModelError(
                    f"operator {operator.index} ({operator.name}) reads tensor "
                    f"{tensors[tensor].name!r} before it is made"
                )
        for tensor in operator.outputs:
            if tensor in makers or tensor in given:
                raise InvalidModelError(f"tensor {tensors[tensor].name!r} is made twice")
            makers[tensor] = operator
    return makers


def _activations(
    operators: Sequence[Operator], inputs: Sequence[int], handles: Handles
) -> set[int]:
    """What differs from run to run: the inputs, what is remembered, and all that is made of them."""
    activations = set(inputs)
    for operator in operators:
        if operator.index in handles or not activations.isdisjoint(operator.reads):
            activations.update(operator.outputs)
    return activations


def _needed(
    operators: Sequence[Operator],
    outputs: Sequence[int],
    makers: Mapping[int, Operator],
    handles: Handles,
) -> list[Operator]:
    """The operators that some graph output depends on, in order.

    Also through hidden state: what writes a state that another needed operator uses is needed too.
    """
    writers: dict[str, list[Operator]] = {}
    for operator in operators:
        if operator.name not in HANDLE_READERS:
            for name in handles.get(operator.index, ()):
                writers.setdefault(name, []).append(operator)
    needed: set[int] = set()
    waiting = [makers[tensor] for tensor in outputs if tensor in makers]
    while waiting:
        operator = waiting.pop()
        if operator.index not in needed:
            needed.add(operator.index)
            waiting += [makers[tensor] for tensor in operator.reads if tensor in makers]
            for name in handles.get(operator.index, ()):
                waiting += writers.pop(name, [])
    return [operator for operator in operators if operator.index in needed]


def _shape_tensors(
    operators: Sequence[Operator],
    tensors: Sequence[Tensor],
    makers: Mapping[int, Operator],
    constants: AbstractSet[int],
    handles: Handles,
) -> frozenset[int]:
    """What is computed and decides shapes: from shapes and constants, never from what varies.

    A runtime computes these while it allocates, as long as SHAPE and its user are in one slice.
    """
    found: set[int] = set()
    visited: set[int] = set()
    waiting = [
        operator.inputs[position]
        for operator in operators
        for position in SHAPE_INPUTS.get(operator.name, ())
        if position < len(operator.inputs)
    ]
    while waiting:
        tensor = waiting.pop()
        if tensor < 0 or tensor in constants or tensor in found:
            continue
        found.add(tensor)
        maker = makers.get(tensor)
        if maker is None or maker.index in handles:
            what = "tensor" if maker else "input"
            raise UnsupportedModelError(
                f"the values of {what} {tensors[tensor].name!r} decide the shape of other tensors; "
                "convert the model with fixed shapes"
            )
        if maker.name not in SHAPE_SOURCES and maker.index not in visited:
            visited.add(maker.index)
            waiting += maker.reads
    return frozenset(found)
