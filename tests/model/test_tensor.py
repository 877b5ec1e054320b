import numpy as np
import pytest

from mesh.errors import UnsupportedModelError
from mesh.model.tensor import DataType, LayerRange, StageInterface, StatePair, TensorSpec


@pytest.mark.parametrize("data_type", DataType)
def test_item_size_is_that_of_the_numpy_type(data_type: DataType) -> None:
    assert np.dtype(data_type.numpy_name).itemsize == data_type.itemsize_bytes


@pytest.mark.parametrize(
    ("shape", "size_bytes"), [((), 2), ((1, 3), 6), ((0, 5), 0), ((4, 4, 4), 128)]
)
def test_size_is_items_times_item_size(shape: tuple[int, ...], size_bytes: int) -> None:
    spec = TensorSpec(index=0, name="x", data_type=DataType.FP16, shape=shape)

    assert spec.size_bytes == size_bytes


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (3, 2), (-1, 2)])
def test_layer_range_is_never_empty_or_negative(start: int, stop: int) -> None:
    with pytest.raises(ValueError, match="layer range"):
        LayerRange(start=start, stop=stop)


def test_layer_range_counts_and_names_its_layers() -> None:
    layers = LayerRange(start=2, stop=5)

    assert len(layers) == 3
    assert str(layers) == "2–4"


def test_interfaces_with_the_same_tensors_are_equal() -> None:
    spec = TensorSpec(index=1, name="y", data_type=DataType.INT8, shape=(2,))
    one = StageInterface(received=(spec,), consumed=(spec,), produced=(), sent=(spec,))

    assert one == StageInterface(received=(spec,), consumed=(spec,), produced=(), sent=(spec,))


def _spec(shape: tuple[int, ...], data_type: DataType = DataType.FP32) -> TensorSpec:
    return TensorSpec(index=0, name="h", data_type=data_type, shape=shape)


def test_state_is_of_one_type_and_shape() -> None:
    assert StatePair(input=_spec((1, 4)), output=_spec((1, 4))).output.shape == (1, 4)
    for other in (_spec((4, 1)), _spec((1, 4), DataType.INT32)):
        with pytest.raises(UnsupportedModelError, match="pair an input and an output of one type"):
            StatePair(input=_spec((1, 4)), output=other)
