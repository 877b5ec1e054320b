import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import UnsupportedModelError
from mesh.model.tensor import DataType, TensorSpec
from mesh.runtime.golden import NEWEST_DRAW, golden_inputs, outputs_match


def spec_of(data_type: DataType, *shape: int) -> TensorSpec:
    return TensorSpec(index=0, name="t", data_type=data_type, shape=shape)


def raw(data_type: DataType, *values: float) -> bytes:
    return np.array(values, data_type.numpy_name).tobytes()


@given(
    st.lists(st.builds(spec_of, st.sampled_from(DataType), st.integers(0, 300)), max_size=4),
    st.integers(0, 1 << 64),
)
def test_inputs_fit_their_tensors_and_are_valid(specs: list[TensorSpec], seed: int) -> None:
    for spec, content in zip(specs, golden_inputs(specs, seed), strict=True):
        assert len(content) == spec.size_bytes
        values = np.frombuffer(content, spec.data_type.numpy_name)
        if spec.data_type.name.startswith("FP"):
            assert np.all((values >= 0) & (values < 1))
        elif spec.data_type not in {DataType.INT8, DataType.UINT8, DataType.INT16}:
            assert set(values.tolist()) <= {0, 1}


def test_16_bit_activations_fill_their_range_and_indexes_do_not() -> None:
    (content,) = golden_inputs([spec_of(DataType.INT16, 10_000)])
    values = np.frombuffer(content, "<i2").astype(np.int64)
    assert values.min() < -32_000
    assert values.max() > 32_000
    assert abs(values.mean()) < 1000
    for kind in (DataType.INT32, DataType.INT64):
        (content,) = golden_inputs([spec_of(kind, 100)])
        assert set(np.frombuffer(content, kind.numpy_name).tolist()) == {0, 1}


@given(st.builds(spec_of, st.sampled_from(DataType), st.integers(0, 300)), st.integers(0, 1 << 64))
def test_the_first_draw_differs_in_16_bit_integers_alone(spec: TensorSpec, seed: int) -> None:
    """Runs that were recorded with it stay valid."""
    (first,), (newest,) = golden_inputs([spec], seed, draw=1), golden_inputs([spec], seed)
    if spec.data_type is DataType.INT16:
        assert set(np.frombuffer(first, "<i2").tolist()) <= {0, 1}
    else:
        assert first == newest


@pytest.mark.parametrize("draw", [0, NEWEST_DRAW + 1])
def test_a_draw_of_the_future_is_refused_with_advice(draw: int) -> None:
    with pytest.raises(UnsupportedModelError, match=f"inputs of draw {draw}, .*: update it"):
        golden_inputs([spec_of(DataType.FP32, 1)], draw=draw)


def test_inputs_are_the_same_everywhere() -> None:
    """Golden answers travel between nodes: a change here is a change of protocol."""
    specs = [spec_of(DataType.FP32, 3), spec_of(DataType.UINT8, 4), spec_of(DataType.INT32, 6)]
    floats, small, indexes = golden_inputs(specs)
    (wide,) = golden_inputs([spec_of(DataType.INT16, 3)])
    assert np.frombuffer(wide, "<i2").tolist() == [16198, -22177, 872]
    assert np.frombuffer(floats, "<f4").tolist() == [0.2470703125, 0.6611328125, 0.01318359375]
    assert list(small) == [4, 103, 253, 79]
    assert np.frombuffer(indexes, "<i4").tolist() == [0, 1, 0, 0, 0, 1]


def test_the_seed_and_the_place_make_other_values() -> None:
    spec = spec_of(DataType.FP32, 100)
    one, other = golden_inputs([spec, spec])
    assert one != other
    assert golden_inputs([spec], seed=1)[0] != one


def test_half_precision_draws_the_values_of_the_others() -> None:
    half, full = (
        np.frombuffer(golden_inputs([spec_of(data_type, 50)])[0], data_type.numpy_name)
        for data_type in (DataType.FP16, DataType.FP64)
    )
    assert half.tolist() == full.tolist()


FLOAT = spec_of(DataType.FP32, 2)


@pytest.mark.parametrize(
    ("actual", "close"),
    [
        ((100.0, 1.0), True),
        ((100.09, 1.09), True),
        ((100.0, 1.2), False),
        ((float("nan"), 1.0), False),
        ((float("inf"), 1.0), False),
    ],
)
def test_floats_may_differ_by_a_thousandth_of_the_largest(
    actual: tuple[float, float], close: bool
) -> None:
    expected = raw(DataType.FP32, 100.0, 1.0)
    other = raw(DataType.FP32, *actual)
    assert outputs_match([expected], [other], [FLOAT], same_kernel_class=False) is close


@pytest.mark.parametrize("same", [True, False])
def test_nan_and_infinity_equal_themselves(same: bool) -> None:
    content = raw(DataType.FP32, float("nan"), float("-inf"))
    assert outputs_match([content], [content], [FLOAT], same_kernel_class=same)


@pytest.mark.parametrize(
    ("data_type", "expected", "actual", "close"),
    [
        (DataType.INT8, 100, 104, True),
        (DataType.INT8, 100, 95, False),
        (DataType.INT8, -128, 127, False),
        (DataType.UINT8, 0, 4, True),
        (DataType.UINT8, 0, 255, False),
        (DataType.INT64, -(1 << 63), (1 << 63) - 1, False),
        (DataType.BOOL, 0, 1, False),
        (DataType.BOOL, 1, 1, True),
    ],
)
def test_integers_may_differ_by_four_steps(
    data_type: DataType, expected: int, actual: int, close: bool
) -> None:
    spec = spec_of(data_type, 1)
    one, other = raw(data_type, expected), raw(data_type, actual)
    assert outputs_match([one], [other], [spec], same_kernel_class=False) is close


def test_one_kernel_class_means_bit_for_bit() -> None:
    one, other = raw(DataType.FP32, 1.0, 0.0), raw(DataType.FP32, 1.0, -0.0)
    assert outputs_match([one], [one], [FLOAT], same_kernel_class=True)
    assert not outputs_match([one], [other], [FLOAT], same_kernel_class=True)
    assert outputs_match([one], [other], [FLOAT], same_kernel_class=False)


@pytest.mark.parametrize("same", [True, False])
def test_sizes_and_counts_must_agree(same: bool) -> None:
    content = raw(DataType.FP32, 1.0, 2.0)
    assert not outputs_match([content], [content[:-4]], [FLOAT], same_kernel_class=same)
    assert not outputs_match([content], [], [FLOAT], same_kernel_class=same)
