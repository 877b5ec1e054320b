"""Runs models in this process, for comparing slices with the whole."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from mesh.model import LayerRange, Model, TensorSpec, read_model, slice_model, stage_interface

Array = NDArray[np.generic]


def _run_model(file: bytes, inputs: Sequence[Array]) -> list[Array]:
    interpreter = Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    for details, content in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(details["index"], content)
    interpreter.invoke()
    return [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]


def _random_inputs(specs: Sequence[TensorSpec]) -> list[Array]:
    random = np.random.default_rng(7)
    return [
        random.uniform(-1, 1, spec.shape).astype(spec.data_type.numpy_name)
        if spec.data_type.value.startswith("FP")
        else random.integers(-100, 100, spec.shape).astype(spec.data_type.numpy_name)
        for spec in specs
    ]


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
def assert_same_bits() -> Callable[[bytes, Sequence[Sequence[int]]], None]:
    return _assert_same_bits
