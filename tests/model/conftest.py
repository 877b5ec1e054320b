"""Runs models in this process, for comparing slices with the whole."""

import importlib
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from mesh.model import LayerRange, Model, TensorSpec, read_model, slice_model, stage_interface
from mesh.runtime.detect import choose_package, installed_version

Array = NDArray[np.generic]

# Whichever is installed: these tests pass with both.
_RUNTIME = importlib.import_module(choose_package("auto", installed_version).value)


class _Run:
    """One interpreter, which may remember something from one call to the next."""

    def __init__(self, file: bytes) -> None:
        self._interpreter = _RUNTIME.Interpreter(model_content=file, num_threads=1)
        self._interpreter.allocate_tensors()

    def __call__(self, inputs: Sequence[Array]) -> list[Array]:
        interpreter = self._interpreter
        for details, content in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(details["index"], content)
        interpreter.invoke()
        return [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]


def _run_model(file: bytes, inputs: Sequence[Array]) -> list[Array]:
    return _Run(file)(inputs)


def _random_inputs(specs: Sequence[TensorSpec]) -> list[Array]:
    random = np.random.default_rng(7)
    return [
        random.uniform(-1, 1, spec.shape).astype(spec.data_type.numpy_name)
        if spec.data_type.value.startswith("FP")
        else random.integers(-100, 100, spec.shape).astype(spec.data_type.numpy_name)
        for spec in specs
    ]


class _Stage:
    """A slice in an interpreter, with the state that it keeps from one request to the next."""

    def __init__(self, model: Model, layers: LayerRange) -> None:
        self.interface = stage_interface(model, layers)
        self._run = _Run(slice_model(model, layers))
        self._state = {
            pair.input.index: np.zeros(pair.input.shape, pair.input.data_type.numpy_name)
            for pair in self.interface.state
        }

    def step(self, received: dict[int, Array]) -> dict[int, Array]:
        interface = self.interface
        held = received | self._state
        made = self._run([held[spec.index] for spec in interface.consumed])
        held |= {spec.index: one for spec, one in zip(interface.produced, made, strict=True)}
        self._state = {pair.input.index: held[pair.output.index] for pair in interface.state}
        return {spec.index: held[spec.index] for spec in interface.sent}


def _assert_same_steps(file: bytes, cuts: Sequence[int], steps: Sequence[Sequence[Array]]) -> None:
    """Assert that the stages give the bits of the whole, request after request of one session."""
    model = read_model(file)
    whole = _Run(file)
    stages = [
        _Stage(model, LayerRange(start=start, stop=stop))
        for start, stop in itertools.pairwise((0, *cuts, len(model.layers)))
    ]
    state = {s.index: np.zeros(s.shape, s.data_type.numpy_name) for s in model.graph_inputs}
    for given in steps:
        state |= {spec.index: one for spec, one in zip(model.inputs, given, strict=True)}
        made = whole([state[spec.index] for spec in model.graph_inputs])
        expected = {s.index: one for s, one in zip(model.graph_outputs, made, strict=True)}
        state |= {pair.input.index: expected[pair.output.index] for pair in model.state}
        held = {spec.index: one for spec, one in zip(model.inputs, given, strict=True)}
        for stage in stages:
            held = stage.step(held)
        for spec in model.outputs:
            assert held[spec.index].tobytes() == expected[spec.index].tobytes(), cuts


def _run_stages(model: Model, cuts: Sequence[int], inputs: Sequence[Array]) -> list[Array]:
    """Run the slices between `cuts` in turn; each sees only what the one before sent."""
    bounds = (0, *cuts, len(model.layers))
    held = {spec.index: content for spec, content in zip(model.inputs, inputs, strict=True)}
    for start, stop in itertools.pairwise(bounds):
        layers = LayerRange(start=start, stop=stop)
        interface = stage_interface(model, layers)
        assert list(held) == [spec.index for spec in interface.received]
        consumed = [held[spec.index] for spec in interface.consumed]
        made = _run_model(slice_model(model, layers), consumed)
        for spec, content in zip(interface.produced, made, strict=True):
            assert content.shape == spec.shape
            assert content.dtype == np.dtype(spec.data_type.numpy_name)
            held[spec.index] = content
        held = {spec.index: held[spec.index] for spec in interface.sent}
    return list(held.values())


def _assert_same_bits(file: bytes, ways: Sequence[Sequence[int]]) -> None:
    """Assert that each way of cutting the file gives the bits of the whole."""
    model = read_model(file)
    inputs = _random_inputs(model.inputs)
    whole = [output.tobytes() for output in _run_model(file, inputs)]
    for cuts in ways:
        assert [output.tobytes() for output in _run_stages(model, cuts, inputs)] == whole, cuts


@pytest.fixture
def run_model() -> Callable[[bytes, Sequence[Array]], list[Array]]:
    return _run_model


@pytest.fixture
def assert_same_steps() -> Callable[[bytes, Sequence[int], Sequence[Sequence[Array]]], None]:
    return _assert_same_steps


@pytest.fixture
def assert_same_bits() -> Callable[[bytes, Sequence[Sequence[int]]], None]:
    return _assert_same_bits
