from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from mesh.model import cut_points, read_model
from mesh.runtime.control import Package
from mesh.testing.exact_worker import Interpreters
from mesh.testing.models import GENERATED, CnnDataType, residual_cnn, tiny_dense
from mesh.testing.plausible import plausible_inputs
from mesh.testing.staged import Whole

_TYPES: tuple[CnnDataType, ...] = get_args(CnnDataType)


def _run(file: bytes, seed: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """The outputs as real numbers for a random input in [-1, 1]."""
    interpreter = Interpreter(model_content=file, num_threads=1)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    content = np.random.default_rng(seed).uniform(-1, 1, given["shape"])
    scale, zero_point = given["quantization"]
    if scale:
        bounds = np.iinfo(given["dtype"])
        content = np.round(content / scale + zero_point).clip(bounds.min, bounds.max)
    interpreter.set_tensor(given["index"], content.astype(given["dtype"]))
    interpreter.invoke()
    outputs = []
    for one in interpreter.get_output_details():
        scale, zero_point = one["quantization"]
        found = interpreter.get_tensor(one["index"]).astype(np.float64)
        outputs.append((found - zero_point) * (scale or 1.0))
    return outputs


@pytest.mark.parametrize("data_type", _TYPES)
def test_the_same_file_each_time(data_type: CnnDataType) -> None:
    assert residual_cnn(data_type) == residual_cnn(data_type)


@pytest.mark.parametrize("data_type", _TYPES)
def test_outputs_are_neither_flat_nor_saturated(data_type: CnnDataType) -> None:
    scores, boxes = _run(residual_cnn(data_type), 1)

    assert scores.sum() == pytest.approx(1, abs=0.05)
    assert scores.max() < 0.9
    assert np.unique(scores).size >= 4
    assert 0.3 < boxes.std() < 3
    assert np.abs(boxes).max() < 8


@pytest.mark.parametrize("data_type", _TYPES)
def test_outputs_follow_the_input(data_type: CnnDataType) -> None:
    first, second = _run(residual_cnn(data_type), 1), _run(residual_cnn(data_type), 2)

    assert all(not np.array_equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("data_type", "tolerance"), [("int8", 0.3), ("int16x8", 0.2), ("dynamic", 0.2), ("fp16", 0.02)]
)
def test_other_types_are_near_float32(data_type: CnnDataType, tolerance: float) -> None:
    for exact, near in zip(
        _run(residual_cnn("float32"), 3), _run(residual_cnn(data_type), 3), strict=True
    ):
        np.testing.assert_allclose(near, exact, atol=tolerance)


def test_width_and_blocks_set_the_size() -> None:
    small, large = (read_model(residual_cnn("float32", width=8, blocks=b)) for b in (1, 4))

    assert len(large.layers) - len(small.layers) == 9
    assert len(residual_cnn("float32", width=32)) > 3 * len(residual_cnn("float32", width=8))


def test_two_tensors_cross_inside_a_residual_block() -> None:
    model = read_model(residual_cnn("float32"))

    assert {len(cut.live) for cut in cut_points(model)} == {1, 2, 3}


def test_tiny_dense_gives_probabilities() -> None:
    (y,) = _run(tiny_dense(), 1)

    assert len(tiny_dense()) < 3000
    assert y.sum() == pytest.approx(1)
    assert y.max() < 0.95


@pytest.mark.parametrize("name", GENERATED)
def test_each_output_of_each_model_varies_in_itself_and_with_the_input(
    name: str, tmp_path: Path
) -> None:
    file = GENERATED[name]()
    model = read_model(file)
    load = Interpreters(tmp_path, Package.LITERT.value, use_xnnpack=True).load
    first, second = (
        Whole(model, file, load).step(plausible_inputs(model, seed)) for seed in (1, 2)
    )

    for one, other in zip(first, second, strict=True):
        assert one.std() > 0
        changed = np.abs(one.astype(np.float64) - other.astype(np.float64)).max()
        assert changed > 0.05 * one.astype(np.float64).std()
