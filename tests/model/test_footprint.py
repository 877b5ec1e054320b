from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from mesh.errors import UnsupportedModelError
from mesh.model import (
    LayerRange,
    Model,
    cut_points,
    read_model,
    slice_model,
    stage_interface,
    stage_memories,
    stage_memory,
    weight_bytes,
)
from mesh.model.table import make_table
from mesh.runtime.detect import detect_runtime
from mesh.runtime.golden import golden_inputs
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense
from mesh.testing.network import NumberFormat

MB = 1_000_000


def _chain() -> bytes:
    """Four operators over tensors of 64, 128, 64, 64 and 64 floats."""
    builder = ModelBuilder()
    x, a, b, c, y = (
        builder.tensor(name, (1, size))
        for name, size in zip("xabcy", (64, 128, 64, 64, 64), strict=True)
    )
    half = builder.constant("half", np.zeros((64, 128), np.float32))
    double = builder.constant("double", np.zeros((128, 64), np.float32))
    builder.operator("FULLY_CONNECTED", [x, double, -1], [a], make_table("FullyConnectedOptions"))
    builder.operator("FULLY_CONNECTED", [a, half, -1], [b], make_table("FullyConnectedOptions"))
    builder.operator("RELU", [b], [c])
    builder.operator("ABS", [c], [y])
    return builder.build({"x": x}, {"y": y})


def _whole(model: Model) -> LayerRange:
    return LayerRange(start=0, stop=len(model.layers))


def test_weights_are_counted_where_they_are_used() -> None:
    model = read_model(_chain())
    weights = 128 * 64 * 4

    assert weight_bytes(model, LayerRange(start=0, stop=1)) == weights
    assert weight_bytes(model, LayerRange(start=0, stop=4)) == 2 * weights
    assert weight_bytes(model, LayerRange(start=2, stop=4)) == 0


def test_the_arena_holds_what_lives_at_once() -> None:
    model = read_model(_chain())

    # The input and the output are kept: x, y, and then a with b.
    memory = stage_memory(model, _whole(model), runtime="litert")
    assert memory.arena_bytes == 4 * (64 + 64 + 128 + 64)
    assert memory.shared_bytes == 4 * (64 + 64)
    last = stage_memory(model, LayerRange(start=3, stop=4), runtime="litert")
    assert last.arena_bytes == last.shared_bytes == 4 * (64 + 64)


def test_half_precision_weights_are_packed_as_floats() -> None:
    float32, fp16 = read_model(residual_cnn("float32")), read_model(residual_cnn("fp16"))
    packed = {
        runtime: memory.packed_bytes
        for runtime, memory in stage_memories(fp16, _whole(fp16)).items()
    }

    assert packed["litert"] >= stage_memory(float32, _whole(float32), runtime="litert").packed_bytes
    # This one keeps them unpacked as well.
    assert packed["tflite"] - packed["litert"] > weight_bytes(fp16, _whole(fp16))
    assert weight_bytes(fp16, _whole(fp16)) < weight_bytes(float32, _whole(float32))


def test_indices_of_sparse_weights_are_weights() -> None:
    sparse, dense = read_model(residual_cnn("sparse")), read_model(residual_cnn("float32"))
    in_buffers = sum(len(one) for one in sparse.buffers if one is not None)
    assert weight_bytes(sparse, _whole(sparse)) > in_buffers
    memory = stage_memory(sparse, _whole(sparse), runtime="litert")
    assert memory.packed_bytes > stage_memory(dense, _whole(dense), runtime="litert").packed_bytes


def test_without_a_runtime_the_larger_need_counts() -> None:
    model = read_model(residual_cnn("fp16"))
    memories = stage_memories(model, _whole(model))
    largest = max(memories.values(), key=lambda memory: memory.total_bytes)
    assert stage_memory(model, _whole(model)) == largest
    assert stage_memory(model, _whole(model), runtime="unheard of") == largest
    assert stage_memory(model, _whole(model), runtime="tflite") == memories["tflite"]


def test_a_range_that_is_no_stage_is_refused() -> None:
    with pytest.raises(UnsupportedModelError):
        stage_memory(read_model(_chain()), LayerRange(start=2, stop=9))


def _private_bytes(model: Model, layers: LayerRange, folder: Path) -> int:
    """What an interpreter's process has for itself after some runs of this slice."""
    path = folder / "slice.tflite"
    path.write_bytes(slice_model(model, layers))
    interface = stage_interface(model, layers)
    loaded = detect_runtime().load(
        path, inputs=interface.consumed, outputs=interface.produced, threads=1, timeout_s=60
    )
    try:
        for _ in range(2):
            loaded.invoke(golden_inputs(interface.consumed), timeout_s=60)
        # Pages of the model's file count too: nobody else has it open.
        return int(psutil.Process(loaded.pid).memory_full_info().uss)
    finally:
        loaded.close()


@pytest.fixture(scope="module")
def bare_bytes(tmp_path_factory: pytest.TempPathFactory) -> int:
    """An interpreter with hardly a model; its libraries' pages count or not, as others have them."""
    model = read_model(tiny_dense())
    return _private_bytes(model, _whole(model), tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("data_type", ["float32", "fp16", "int8", "dynamic", "sparse"])
def test_the_prediction_is_what_a_process_takes(
    data_type: NumberFormat, bare_bytes: int, tmp_path: Path
) -> None:
    model = read_model(residual_cnn(data_type, width=512, blocks=24))
    runtime = detect_runtime().info().name

    taken_bytes = _private_bytes(model, _whole(model), tmp_path) - bare_bytes
    predicted_bytes = stage_memory(model, _whole(model), runtime=runtime).total_bytes

    # Another process may have joined in, or left, the pages of libraries that both use.
    slack_bytes = 4 * MB
    assert predicted_bytes >= 0.9 * taken_bytes - slack_bytes
    assert predicted_bytes <= 1.3 * taken_bytes + slack_bytes


def test_a_slice_takes_its_own_memory_not_the_whole_models(bare_bytes: int, tmp_path: Path) -> None:
    model = read_model(residual_cnn("float32", width=512, blocks=40))
    middle = min(cut_points(model), key=lambda cut: abs(cut.layer - len(model.layers) // 2)).layer
    halves = (
        LayerRange(start=0, stop=middle),
        LayerRange(start=middle, stop=len(model.layers)),
    )

    whole_bytes = _private_bytes(model, _whole(model), tmp_path) - bare_bytes
    for half in halves:
        half_bytes = _private_bytes(model, half, tmp_path) - bare_bytes
        assert half_bytes < 0.7 * whole_bytes


@pytest.mark.samples
@pytest.mark.parametrize(
    "name", ["pose_landmark_full", "hand_landmark_full", "palm_detection_full"]
)
def test_the_prediction_holds_for_trained_models(
    name: str, sample_model: Callable[[str], Path], bare_bytes: int, tmp_path: Path
) -> None:
    model = read_model(sample_model(name).read_bytes())
    taken_bytes = _private_bytes(model, _whole(model), tmp_path) - bare_bytes
    runtime = detect_runtime().info().name
    predicted_bytes = stage_memory(model, _whole(model), runtime=runtime).total_bytes
    assert 0.9 * taken_bytes - 4 * MB <= predicted_bytes <= 1.3 * taken_bytes + 4 * MB
