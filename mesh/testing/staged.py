"""Runs a model whole, or in stages of which each sees only what the one before sent: no mesh.

What computes, an interpreter or `evaluator`, is given.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mesh.model import LayerRange, Model, StageInterface, TensorSpec, slice_pieces, stage_interface

Array = NDArray[Any]
Run = Callable[[Sequence[Array]], Sequence[Array]]
"""Computes a file's outputs from its inputs, both in the file's order."""
Load = Callable[[Sequence[bytes | memoryview]], Run]
"""Loads a .tflite file, given in consecutive pieces."""


class Whole:
    """The whole file; state goes from each step to the next, and starts as zeros."""

    def __init__(self, model: Model, file: bytes, load: Load) -> None:
        self._model = model
        self._run = load([file])
        self._state = {pair.input.index: _zeros(pair.input) for pair in model.state}

    def step(self, inputs: Sequence[Array]) -> list[Array]:
        """`Model.outputs` for these `Model.inputs`."""
        held = _by_index(self._model.inputs, inputs) | self._state
        outputs = self._run([held[spec.index] for spec in self._model.graph_inputs])
        made = _by_index(self._model.graph_outputs, outputs)
        self._state = {pair.input.index: made[pair.output.index] for pair in self._model.state}
        return [made[spec.index] for spec in self._model.outputs]


@dataclass(slots=True)
class _Stage:
    interface: StageInterface
    run: Run
    state: dict[int, Array]


class Staged:
    """The slices between these cuts; each keeps its own state between steps.

    `sent_bytes` is how much each stage sent in the last step, the last one to the client.
    """

    def __init__(self, model: Model, cuts: Sequence[int], load: Load) -> None:
        """Raises: UnsupportedModelError for cuts that are not legal, and what `load` raises."""
        self._model = model
        bounds = itertools.pairwise((0, *cuts, len(model.layers)))
        self._stages = [_load(model, LayerRange(start=a, stop=b), load) for a, b in bounds]
        self.sent_bytes: list[int] = []

    def step(self, inputs: Sequence[Array]) -> list[Array]:
        """`Model.outputs` for these `Model.inputs`; ValueError when two stages do not fit."""
        held = _by_index(self._model.inputs, inputs)
        self.sent_bytes = []
        for stage in self._stages:
            if list(held) != [spec.index for spec in stage.interface.received]:
                raise ValueError(f"a stage receives {stage.interface.received}, not {list(held)}")
            held = _pass_on(stage, held)
            self.sent_bytes.append(sum(content.nbytes for content in held.values()))
        return [held[spec.index] for spec in self._model.outputs]


def _load(model: Model, layers: LayerRange, load: Load) -> _Stage:
    interface = stage_interface(model, layers)
    state = {pair.input.index: _zeros(pair.input) for pair in interface.state}
    return _Stage(interface, load(slice_pieces(model, layers)), state)


def _pass_on(stage: _Stage, received: dict[int, Array]) -> dict[int, Array]:
    interface = stage.interface
    known = received | stage.state
    outputs = stage.run([known[spec.index] for spec in interface.consumed])
    for spec, content in zip(interface.produced, outputs, strict=True):
        if content.shape != spec.shape or content.dtype != np.dtype(spec.data_type.numpy_name):
            raise ValueError(f"{spec} came as {content.dtype} {content.shape}")
        known[spec.index] = content
    stage.state = {pair.input.index: known[pair.output.index] for pair in interface.state}
    return {spec.index: known[spec.index] for spec in interface.sent}


def _by_index(specs: Sequence[TensorSpec], contents: Sequence[Array]) -> dict[int, Array]:
    return {spec.index: content for spec, content in zip(specs, contents, strict=True)}


def _zeros(spec: TensorSpec) -> Array:
    return np.zeros(spec.shape, spec.data_type.numpy_name)
