"""Decides which operators are layers, which are copied with the weights, and what fixes shapes."""

from collections.abc import Sequence
from dataclasses import dataclass

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.model import Operator, Tensor
from mesh.model.operators import RANDOM, SHAPE_INPUTS, SHAPE_SOURCES


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The fields of the same name in Model, and the constants that layers and copies read."""

    layers: tuple[Operator, ...]
    copied: tuple[Operator, ...]
    activations: frozenset[int]
    shape_tensors: frozenset[int]
    constants: frozenset[int]


def place(
    operators: Sequence[Operator],
    tensors: Sequence[Tensor],
    inputs: Sequence[int],
    outputs: Sequence[int],
) -> Placement:
    """Raises: InvalidModelError for operators out of order, UnsupportedModelError for open shapes."""
    makers = _makers(operators, tensors, inputs)
    needed = _needed(operators, outputs)
    activations = _activations(needed, inputs)
    layers = tuple(op for op in needed if activations.issuperset(op.outputs))
    if not layers:
        raise UnsupportedModelError("no operator of the model depends on its inputs")
    copied = tuple(op for op in needed if not activations.issuperset(op.outputs))
    read = {tensor for op in needed for tensor in op.reads} | set(outputs)
    return Placement(
        layers=layers,
        copied=copied,
        activations=frozenset(activations),
        shape_tensors=_shape_tensors(layers, tensors, makers, activations),
        constants=frozenset(read - makers.keys() - set(inputs)),
    )


def _makers(
    operators: Sequence[Operator], tensors: Sequence[Tensor], inputs: Sequence[int]
) -> dict[int, Operator]:
    """The operator that makes each tensor, checked: each tensor is made once, before it is read."""
    all_made = {tensor for operator in operators for tensor in operator.outputs}
    given = set(inputs)
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


def _activations(operators: Sequence[Operator], inputs: Sequence[int]) -> set[int]:
    """What differs from run to run: the inputs and all that is made of them."""
    activations = set(inputs)
    for operator in operators:
        if operator.name in RANDOM or not activations.isdisjoint(operator.reads):
            activations.update(operator.outputs)
    return activations


def _needed(operators: Sequence[Operator], outputs: Sequence[int]) -> list[Operator]:
    """The operators that some graph output depends on, in order."""
    wanted = set(outputs)
    needed = []
    for operator in reversed(operators):
        if not wanted.isdisjoint(operator.outputs):
            wanted.update(operator.reads)
            needed.append(operator)
    return needed[::-1]


def _shape_tensors(
    layers: Sequence[Operator],
    tensors: Sequence[Tensor],
    makers: dict[int, Operator],
    activations: set[int],
) -> frozenset[int]:
    """Activations that decide shapes; they must come from shapes, never from the input's values.

    A runtime computes these while it allocates, as long as SHAPE and its user are in one slice.
    """
    found: set[int] = set()
    visited: set[int] = set()
    waiting = [
        operator.inputs[position]
        for operator in layers
        for position in SHAPE_INPUTS.get(operator.name, ())
        if position < len(operator.inputs) and operator.inputs[position] in activations
    ]
    while waiting:
        tensor = waiting.pop()
        if tensor in found:
            continue
        found.add(tensor)
        if tensor not in makers:
            raise UnsupportedModelError(
                f"the values of input {tensors[tensor].name!r} decide the shape of other tensors; "
                "convert the model with fixed shapes"
            )
        maker = makers[tensor]
        if maker.name not in SHAPE_SOURCES and maker.index not in visited:
            visited.add(maker.index)
            waiting += [read for read in maker.reads if read in activations]
    return frozenset(found)
