"""Finds where a model may be cut and what crosses there, and what each range of layers exchanges."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from mesh.errors import UnsupportedModelError
from mesh.model.limits import Limits
from mesh.model.model import Bond, Model
from mesh.model.tensor import LayerRange, StageInterface, TensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPoint:
    """A legal cut before layer `layer`, with the tensors that cross it, in order of their index."""

    layer: int
    live: tuple[TensorSpec, ...]

    @property
    def live_bytes(self) -> int:
        return sum(spec.size_bytes for spec in self.live)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """The place before layer `layer`: what would cross there, and what forbids a cut, if anything."""

    layer: int
    live_bytes: int
    obstacle: str | None


def boundaries(model: Model, limits: Limits | None = None) -> tuple[Boundary, ...]:
    """Every place between two layers, in order, whether a cut is legal there or not."""
    bound = (limits or Limits()).max_live_tensors
    parted = _parted_bonds(model)
    return tuple(
        Boundary(
            layer=layer,
            live_bytes=sum(model.tensors[index].size_bytes for index in live),
            obstacle=_obstacle(model, parted[layer], live, bound),
        )
        for layer, live in _boundaries(model)
    )


def cut_points(model: Model, limits: Limits | None = None) -> tuple[CutPoint, ...]:
    """Every legal cut between two layers, in order; empty where `uncuttable_reason` says why."""
    bound = (limits or Limits()).max_live_tensors
    specs = _specs(model, model.activations)
    parted = _parted_bonds(model)
    return tuple(
        CutPoint(layer=layer, live=tuple(specs[index] for index in sorted(live)))
        for layer, live in _boundaries(model)
        if _obstacle(model, parted[layer], live, bound) is None
    )


def uncuttable_reason(model: Model, limits: Limits | None = None) -> str | None:
    """Why the model runs only whole; None when it has a legal cut."""
    bound = (limits or Limits()).max_live_tensors
    reason = "it has a single layer"
    parted = _parted_bonds(model)
    for layer, live in _boundaries(model):
        obstacle = _obstacle(model, parted[layer], live, bound)
        if obstacle is None:
            return None
        reason = f"before layer {layer}, as at every other, {obstacle}"
    return reason


def stage_interface(model: Model, layers: LayerRange) -> StageInterface:
    """What the stage of these layers receives, consumes, produces and sends.

    The first stage receives the graph inputs and the last sends the graph outputs, each in the
    model's order; in between it is the cut's live tensors, so one stage sends what the next
    receives. Raises: UnsupportedModelError when the range does not start and stop at legal cuts.
    """
    received = model.inputs if layers.start == 0 else _live_at(model, layers.start)
    is_last = layers.stop == len(model.layers)
    sent = model.outputs if is_last else _live_at(model, layers.stop)
    inside = model.layers[layers.start : layers.stop]
    read = {tensor for layer in inside for tensor in layer.reads}
    made = {tensor for layer in inside for tensor in layer.outputs}
    state = tuple(pair for pair in model.state if pair.output.index in made)
    if is_last:
        made |= {spec.index for spec in sent} - model.activations
    return StageInterface(
        received=received,
        consumed=(
            *(spec for spec in received if spec.index in read),
            *(pair.input for pair in state),
        ),
        produced=_once((*sent, *(pair.output for pair in state)), made),
        sent=sent,
        state=state,
        keeps_hidden_state=any(
            bond.is_hidden and layers.start <= bond.first < layers.stop for bond in model.bonds
        ),
    )


def _once(specs: Sequence[TensorSpec], among: AbstractSet[int]) -> tuple[TensorSpec, ...]:
    """Those of the tensors, each the first time it comes."""
    first: dict[int, TensorSpec] = {}
    for spec in specs:
        if spec.index in among:
            first.setdefault(spec.index, spec)
    return tuple(first.values())


def _live_at(model: Model, layer: int) -> tuple[TensorSpec, ...]:
    if not 0 < layer < len(model.layers):
        raise UnsupportedModelError(
            f"the model has {len(model.layers)} layers, so no cut at {layer}"
        )
    live = next(live for at, live in _boundaries(model) if at == layer)
    obstacle = _obstacle(model, _parted_bonds(model)[layer], live, Limits().max_live_tensors)
    if obstacle is not None:
        raise UnsupportedModelError(f"the model cannot be cut before layer {layer}: {obstacle}")
    specs = _specs(model, live)
    return tuple(specs[index] for index in sorted(live))


def _boundaries(model: Model) -> Iterator[tuple[int, set[int]]]:
    """(layer, activations that cross before it) of each place between two layers.

    The set is the same object each time.
    """
    end = len(model.layers)
    last_read = {tensor: at for at, layer in enumerate(model.layers) for tensor in layer.reads}
    last_read |= {spec.index: end for spec in model.outputs}
    live = {spec.index for spec in model.inputs if last_read.get(spec.index, -1) > 0}
    for at, layer in enumerate(model.layers[:-1]):
        live.update(tensor for tensor in layer.outputs if last_read.get(tensor, -1) > at)
        live.difference_update(tensor for tensor in layer.reads if last_read[tensor] == at)
        yield at + 1, live


def _parted_bonds(model: Model) -> list[Bond | None]:
    """For each layer the bond that a cut before it would part: of several, the one that ends last."""
    waiting = sorted(model.bonds, key=lambda bond: bond.first, reverse=True)
    widest: Bond | None = None
    parted: list[Bond | None] = []
    for layer in range(len(model.layers)):
        while waiting and waiting[-1].first < layer:
            bond = waiting.pop()
            widest = bond if widest is None or bond.last > widest.last else widest
        parted.append(widest if widest is not None and widest.last >= layer else None)
    return parted


def _obstacle(model: Model, parted: Bond | None, live: set[int], bound: int) -> str | None:
    """What forbids a cut that these tensors cross, and that parts this bond."""
    if parted is not None:
        return (
            f"the layers {parted.first} to {parted.last} share {parted.what}, which stays in one "
            "interpreter"
        )
    if model.shape_tensors:
        # tflite-runtime 2.14 leaves XNNPACK out of a graph with such a tensor, but not of slices
        # without it: their bits would be others.
        name = model.tensors[min(model.shape_tensors)].name
        return (
            f"tensor {name!r} decides the shape of others while the model runs; `mesh model add` "
            "makes it a constant"
        )
    if len(live) > bound:
        return f"{len(live)} tensors cross; the limit is {bound}"
    for index in sorted(live):
        tensor = model.tensors[index]
        if tensor.data_type is None:
            return f"tensor {tensor.name!r} crosses, whose type {tensor.type_name} cannot be sent"
        if tensor.size_bytes == 0:
            return f"tensor {tensor.name!r} crosses, which is empty"
    return None


def _specs(model: Model, activations: AbstractSet[int]) -> dict[int, TensorSpec]:
    """These as they travel, and graph inputs and outputs under the names that clients use."""
    tensors = (model.tensors[index] for index in activations)
    inner = {
        tensor.index: TensorSpec(
            index=tensor.index,
            name=tensor.name,
            data_type=tensor.data_type,
            shape=tensor.shape,
        )
        for tensor in tensors
        if tensor.data_type is not None
    }
    ends = (*reversed(model.graph_outputs), *model.graph_inputs)
    return inner | {spec.index: spec for spec in ends}
