"""A .tflite file as a value: tensors, operators, and which operators are layers; no cutting here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mesh.model.table import Table
from mesh.model.tensor import DataType, StatePair, TensorSpec

TFLITE_METADATA = "TFLITE_METADATA"
"""The name under which image models carry normalisation and labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of the main subgraph.

    `type_name` is that of schema.fbs ("FLOAT32"); `data_type` is None for types that cannot
    cross a stage boundary. `buffer` is the index of the buffer with its content, 0 for none.
    """

    index: int
    name: str
    type_name: str
    data_type: DataType | None
    shape: tuple[int, ...]
    size_bytes: int
    buffer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator of the main subgraph; an input of -1 is an optional one left out."""

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def reads(self) -> tuple[int, ...]:
        """Its inputs without those left out."""
        return tuple(tensor for tensor in self.inputs if tensor >= 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bond:
    """Layers `first` to `last` share a state, so they run in one stage; `what` names the state."""

    what: str
    first: int
    last: int
    is_hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialiser:
    """A CALL_ONCE operator, and what it runs before the first request: a subgraph of its own.

    `handles` names the hidden state that each of its operators sets, by the operator's index.
    """

    caller: Operator
    subgraph: int
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    handles: Mapping[int, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that this version can run: `read_model` refuses every other.

    `layers` are the operators that a stage is made of, in the file's order; the numbers of a
    LayerRange count them. Operators fed only by constants are no layers: they are `copied` into
    each slice that needs them. Operators that no output needs are neither. `activations` are the
    tensors that differ from run to run: graph inputs and what layers make. `shape_tensors` decide
    the shapes of others, so each must stay within one slice.

    `inputs` and `outputs` are what clients give and get; `state` is what a session keeps beside
    them, and `graph_inputs` and `graph_outputs` are all of it in the file's order. `bonds` are the
    layers that state of any kind ties together, `handles` the hidden state that each operator uses.
    """

    description: str
    metadata_names: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    layers: tuple[Operator, ...]
    copied: tuple[Operator, ...]
    activations: frozenset[int]
    shape_tensors: frozenset[int]
    state: tuple[StatePair, ...]
    bonds: tuple[Bond, ...]
    graph_inputs: tuple[TensorSpec, ...]
    graph_outputs: tuple[TensorSpec, ...]
    handles: Mapping[int, frozenset[str]]
    initialisers: tuple[Initialiser, ...]
    root: Table = field(repr=False)
    buffers: tuple[memoryview | None, ...] = field(repr=False)

    @property
    def keeps_hidden_state(self) -> bool:
        """Whether an interpreter that has run it once answers differently from a fresh one."""
        return any(bond.is_hidden for bond in self.bonds)

    @property
    def has_image_metadata(self) -> bool:
        return TFLITE_METADATA in self.metadata_names
