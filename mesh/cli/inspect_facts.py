"""What `mesh model inspect` tells of a file: gathered from the model, nothing of it drawn; pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from mesh.device.effort import layer_efforts
from mesh.errors import ModelError
from mesh.model import (
    Boundary,
    LayerRange,
    Limits,
    Model,
    Operator,
    StatePair,
    TensorSpec,
    boundaries,
    stage_interface,
    stage_memories,
    uncuttable_reason,
)
from mesh.model.metadata import Description, read_description
from mesh.model.parts import clean
from mesh.planning.even_split import even_split

STAGES = (2, 3, 4)
CHEAPEST = 5
LEAST_SHARE = 0.05
"""Of the effort, on either side of a cut that is worth showing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorKind:
    """All operators of one name: what share of the layers' estimated effort is theirs."""

    name: str
    count: int
    weight_bytes: int
    effort_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightKind:
    """All constants of one TFLite type."""

    type_name: str
    weight_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer, in the file's order; `operator` is its place among all operators of the file."""

    name: str
    operator: int
    effort_share: float
    weight_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature of the file, with the names that clients may use."""

    key: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A legal cut before layer `layer`; `effort_before` is the share of the effort that lies before."""

    layer: int
    live_bytes: int
    live_tensors: tuple[str, ...]
    effort_before: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Layers [start, stop). `memory_bytes` by runtime: what it needs beside a bare interpreter."""

    start: int
    stop: int
    effort_share: float
    received_bytes: int
    sent_bytes: int
    weight_bytes: int
    memory_bytes: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncuttable:
    """No cut is legal before any of the layers `first` to `last`."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """`splits` holds the whole model, then the even splits that its cuts allow."""

    file: str
    size_bytes: int
    model_id: str
    description: str
    layers: tuple[Layer, ...]
    copied_operators: int
    operators: tuple[OperatorKind, ...]
    weights: tuple[WeightKind, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...]
    metadata_problem: str | None
    signatures: tuple[Signature, ...]
    state: tuple[StatePair, ...]
    keeps_hidden_state: bool
    boundaries: tuple[Boundary, ...]
    cheapest_cuts: tuple[Cut, ...]
    splits: tuple[tuple[Stage, ...], ...]
    uncuttable: tuple[Uncuttable, ...]
    uncuttable_reason: str | None

    @property
    def legal_cuts(self) -> tuple[Boundary, ...]:
        return tuple(boundary for boundary in self.boundaries if boundary.obstacle is None)


def inspect_model(
    model: Model, content: memoryview, limits: Limits, *, file: str, model_id: str
) -> Inspection:
    """`content` is the whole file, `file` its name."""
    efforts = layer_efforts(model)
    places = boundaries(model, limits)
    description, problem = _describe(model, content, limits)
    return Inspection(
        file=file,
        size_bytes=len(content),
        model_id=model_id,
        description=model.description,
        layers=_layers(model, efforts),
        copied_operators=len(model.copied),
        operators=_operators(model, efforts),
        weights=_weights(model),
        inputs=model.inputs,
        outputs=model.outputs,
        labels=description.labels,
        metadata_problem=problem,
        signatures=_signatures(model),
        state=model.state,
        keeps_hidden_state=model.keeps_hidden_state,
        boundaries=places,
        cheapest_cuts=_cheapest(model, places, efforts),
        splits=tuple(_splits(model, places, efforts)),
        uncuttable=tuple(_uncuttable(places)),
        uncuttable_reason=uncuttable_reason(model, limits),
    )


def _describe(model: Model, content: memoryview, limits: Limits) -> tuple[Description, str | None]:
    """What the metadata says; metadata that cannot be read does not keep the model from running."""
    try:
        return read_description(model, content, limits), None
    except ModelError as error:
        return Description(), str(error)


def _layers(model: Model, efforts: Sequence[float]) -> tuple[Layer, ...]:
    total = sum(efforts)
    makers = _makers(model)
    return tuple(
        Layer(
            name=layer.name,
            operator=layer.index,
            effort_share=effort / total,
            weight_bytes=_content_bytes(model, _needed(model, layer, makers)),
        )
        for layer, effort in zip(model.layers, efforts, strict=True)
    )


def _needed(model: Model, layer: Operator, makers: Mapping[int, Operator]) -> set[int]:
    """The constants that a layer reads, straight or through operators that are copied with it."""
    needed: set[int] = set()
    waiting = [tensor for tensor in layer.reads if tensor not in model.activations]
    while waiting:
        tensor = waiting.pop()
        if tensor in needed:
            continue
        needed.add(tensor)
        waiting += makers[tensor].reads if tensor in makers else ()
    return needed


def _content_bytes(model: Model, tensors: Iterable[int]) -> int:
    contents = (model.buffers[index] for index in {model.tensors[one].buffer for one in tensors})
    return sum(len(content) for content in contents if content is not None)


def _operators(model: Model, efforts: Sequence[float]) -> tuple[OperatorKind, ...]:
    """The dearest first. Weights count where they are used, not where they are unpacked."""
    total = sum(efforts)
    makers = _makers(model)
    kinds = [_copies_of_a_kind(name, count) for name, count in _kinds(model.copied)]
    for name, count in _kinds(model.layers):
        pairs = [pair for pair in zip(model.layers, efforts, strict=True) if pair[0].name == name]
        needed = {tensor for layer, _ in pairs for tensor in _needed(model, layer, makers)}
        kinds.append(
            OperatorKind(
                name=name,
                count=count,
                weight_bytes=_content_bytes(model, needed),
                effort_share=sum(effort for _, effort in pairs) / total,
            )
        )
    return tuple(sorted(kinds, key=lambda kind: (-kind.effort_share, -kind.weight_bytes)))


def _kinds(operators: Iterable[Operator]) -> Iterable[tuple[str, int]]:
    return Counter(operator.name for operator in operators).items()


def _copies_of_a_kind(name: str, count: int) -> OperatorKind:
    return OperatorKind(name=name, count=count, weight_bytes=0, effort_share=0.0)


def _makers(model: Model) -> dict[int, Operator]:
    """The copied operator that makes each unpacked constant."""
    return {tensor: copy for copy in model.copied for tensor in copy.outputs}


def _weights(model: Model) -> tuple[WeightKind, ...]:
    read = {tensor for one in (*model.layers, *model.copied) for tensor in one.reads}
    constants = [model.tensors[index] for index in read - model.activations]
    kinds = [
        WeightKind(
            type_name=name,
            weight_bytes=_content_bytes(
                model, [one.index for one in constants if one.type_name == name]
            ),
        )
        for name in {tensor.type_name for tensor in constants}
    ]
    held = [kind for kind in kinds if kind.weight_bytes]
    return tuple(sorted(held, key=lambda kind: (-kind.weight_bytes, kind.type_name)))


def _signatures(model: Model) -> tuple[Signature, ...]:
    return tuple(
        Signature(
            key=clean(table.text("signature_key")),
            inputs=tuple(clean(entry.text("name")) for entry in table.tables("inputs")),
            outputs=tuple(clean(entry.text("name")) for entry in table.tables("outputs")),
        )
        for table in model.root.tables("signature_defs")
    )


def _cheapest(
    model: Model, places: Sequence[Boundary], efforts: Sequence[float]
) -> tuple[Cut, ...]:
    """The cuts that fewest bytes cross; of equal ones those that lie nearest the middle.

    Those that leave next to no work on one side count only where there are no others.
    """
    total = sum(efforts)
    before, ways = 0.0, []
    for place, effort in zip(places, efforts, strict=False):
        before += effort / total
        if place.obstacle is None:
            is_useless = not LEAST_SHARE <= before <= 1 - LEAST_SHARE
            ways.append((is_useless, place.live_bytes, abs(before - 0.5), place.layer, before))
    if not all(is_useless for is_useless, *_ in ways):
        ways = [way for way in ways if not way[0]]
    return tuple(
        Cut(
            layer=layer,
            live_bytes=live_bytes,
            live_tensors=_live_tensors(model, layer),
            effort_before=share,
        )
        for _, live_bytes, _, layer, share in sorted(ways)[:CHEAPEST]
    )


def _live_tensors(model: Model, layer: int) -> tuple[str, ...]:
    interface = stage_interface(model, LayerRange(start=layer, stop=len(model.layers)))
    return tuple(spec.name for spec in interface.received)


def _splits(
    model: Model, places: Sequence[Boundary], efforts: Sequence[float]
) -> Iterable[tuple[Stage, ...]]:
    end = len(model.layers)
    legal = [place for place in places if place.obstacle is None]
    ends = (0, *(place.layer for place in legal), end)
    live_bytes = (0, *(place.live_bytes for place in legal), 0)
    yield (_stage(model, 0, end, efforts),)
    for stages in STAGES:
        cuts = even_split(ends, live_bytes, efforts, stages)
        if cuts is not None:
            yield tuple(
                _stage(model, start, stop, efforts) for start, stop in pairwise((0, *cuts, end))
            )


def _stage(model: Model, start: int, stop: int, efforts: Sequence[float]) -> Stage:
    layers = LayerRange(start=start, stop=stop)
    interface = stage_interface(model, layers)
    memories = stage_memories(model, layers)
    return Stage(
        start=start,
        stop=stop,
        effort_share=sum(efforts[start:stop]) / sum(efforts),
        received_bytes=sum(spec.size_bytes for spec in interface.received),
        sent_bytes=sum(spec.size_bytes for spec in interface.sent),
        weight_bytes=max(memory.weight_bytes for memory in memories.values()),
        memory_bytes={name: memory.total_bytes for name, memory in memories.items()},
    )


def _uncuttable(places: Sequence[Boundary]) -> Iterable[Uncuttable]:
    """Neighbouring places where the same thing is in the way, as one."""
    for reason, same in groupby(places, key=lambda place: place.obstacle):
        if reason is not None:
            layers = [place.layer for place in same]
            yield Uncuttable(first=layers[0], last=layers[-1], reason=reason)
