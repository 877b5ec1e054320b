"""Activations are placed as each runtime places them."""

import pytest

from mesh.model import LayerRange, Model, read_model
from mesh.model.arena import ends_bytes, inner_bytes
from mesh.model.kernel_memory import KERNEL_MEMORY
from mesh.model.slicer import slice_content
from mesh.testing.model_builder import ModelBuilder

SIZE_BYTES = 4 * 64


def _chain(*names: str) -> Model:
    """Operators of one input each, over tensors of one size."""
    builder = ModelBuilder()
    x = last = builder.tensor("x", (1, 64))
    for place, name in enumerate(names):
        y = builder.tensor(f"y{place}", (1, 64))
        builder.operator(name, [last], [y])
        last = y
    return read_model(builder.build({"x": x}, {"y": last}))


def _inner(model: Model, runtime: str, *, are_delegated: bool = True) -> int:
    content = slice_content(model, LayerRange(start=0, stop=len(model.layers)))
    delegated = {layer.index for layer in model.layers} if are_delegated else set()
    return inner_bytes(content, model, delegated, KERNEL_MEMORY[runtime])


def test_inputs_and_outputs_are_kept() -> None:
    model = _chain("RELU", "ABS", "RELU")
    assert ends_bytes(slice_content(model, LayerRange(start=0, stop=3)), model) == 2 * SIZE_BYTES
    assert ends_bytes(slice_content(model, LayerRange(start=1, stop=2)), model) == 2 * SIZE_BYTES


def test_room_is_used_again() -> None:
    # Each tensor lives with its neighbours only.
    assert _inner(_chain(*["SOFTMAX"] * 8), "litert") == 2 * SIZE_BYTES


def test_the_older_runtime_stacks_a_chain() -> None:
    assert _inner(_chain(*["SOFTMAX"] * 8), "tflite") == 7 * SIZE_BYTES
    # … but not what it computes without XNNPACK.
    assert _inner(_chain(*["SOFTMAX"] * 8), "tflite", are_delegated=False) == 2 * SIZE_BYTES


def test_the_older_runtime_writes_in_place_where_it_can() -> None:
    assert _inner(_chain(*["RELU"] * 8), "tflite") == SIZE_BYTES
    # A place that is gone on with is kept from the start.
    assert (
        _inner(_chain("SOFTMAX", "RELU", "SOFTMAX", "RELU", "SOFTMAX"), "tflite") == 2 * SIZE_BYTES
    )


@pytest.mark.parametrize("runtime", KERNEL_MEMORY)
def test_a_single_layer_has_nothing_of_its_own(runtime: str) -> None:
    assert _inner(_chain("RELU"), runtime) == 0


def test_very_many_tensors_are_bounded_rather_than_placed() -> None:
    model = _chain(*["SOFTMAX"] * 2100)
    assert _inner(model, "tflite") == 2099 * SIZE_BYTES
