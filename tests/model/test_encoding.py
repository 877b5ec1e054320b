from typing import Any

import pytest

from mesh.errors import InvalidModelError
from mesh.model.encoding import check_quantization, check_sparsity
from mesh.model.model import Tensor
from mesh.model.table import Table, make_table


def _tensor(type_name: str = "INT8", shape: tuple[int, ...] = (4, 2)) -> Tensor:
    return Tensor(
        index=0, name="w", type_name=type_name, data_type=None, shape=shape, size_bytes=8, buffer=1
    )


def _quantized(**fields: Any) -> Table:
    return make_table("Tensor", quantization=make_table("QuantizationParameters", **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"scale": [0.5], "zero_point": [-128]},
        {"scale": [0.5]},
        {"scale": [0.0], "zero_point": [0]},
        {"scale": [1.0, 2.0, 3.0, 4.0], "zero_point": [0] * 4},
        {"scale": [1.0, 2.0], "zero_point": [0, 1], "quantized_dimension": 1},
    ],
)
def test_sound_quantisation(fields: dict[str, Any]) -> None:
    check_quantization(_tensor(), _quantized(**fields))
    check_quantization(_tensor(), make_table("Tensor"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale": [float("nan")]}, "no positive number"),
        ({"scale": [float("inf")]}, "no positive number"),
        ({"scale": [-1.0]}, "no positive number"),
        ({"scale": [1.0], "zero_point": [0, 0]}, "1 scales and 2 zero points"),
        ({"scale": [1.0], "zero_point": [128]}, "beyond its type"),
        ({"scale": [1.0, 2.0, 3.0], "zero_point": [0] * 3}, r"\[4, 2\] has 3 scales"),
        ({"scale": [1.0, 2.0], "zero_point": [0] * 2, "quantized_dimension": 2}, "dimension 2"),
        ({"scale": [1.0, 2.0], "zero_point": [0] * 2, "quantized_dimension": -1}, "dimension -1"),
    ],
)
def test_quantisation_that_does_not_fit_is_damage(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidModelError, match=message):
        check_quantization(_tensor(), _quantized(**fields))


def _dense(size: int) -> Table:
    return make_table("DimensionMetadata", format=0, dense_size=size)


def _sparse(segments: list[int], indices: list[int]) -> Table:
    vectors = [make_table("Int32Vector", values=values) for values in (segments, indices)]
    return make_table(
        "DimensionMetadata",
        format=1,
        array_segments_type=1,
        array_segments=vectors[0],
        array_indices_type=1,
        array_indices=vectors[1],
    )


def _sparsity(*levels: Table, order: tuple[int, ...] = (0, 1), **fields: Any) -> Table:
    return make_table("SparsityParameters", traversal_order=order, dim_metadata=levels, **fields)


def test_sound_sparsity() -> None:
    by_rows = _sparsity(_dense(4), _sparse([0, 1, 1, 2, 3], [1, 0, 1]))
    in_blocks = _sparsity(
        _dense(2), _sparse([0, 1, 2], [0, 1]), _dense(2), order=(0, 1, 2), block_map=[0]
    )

    check_sparsity(_tensor(), by_rows, 3)
    check_sparsity(_tensor(), in_blocks, 4)
    check_sparsity(_tensor(), _sparsity(_dense(2), _dense(4), order=(1, 0)), 8)


@pytest.mark.parametrize(
    ("sparsity", "values", "message"),
    [
        (_sparsity(_dense(4)), 4, "levels are not those"),
        (_sparsity(_dense(4), _dense(2), order=(0, 0)), 8, "levels are not those"),
        (_sparsity(_dense(4), _dense(2), order=(0, 7)), 8, "levels are not those"),
        (_sparsity(_dense(5), _dense(2)), 10, "another size"),
        (_sparsity(_dense(4), _dense(2)), 7, "holds 7 values where its levels lead to 8"),
        (_sparsity(_dense(4), _sparse([0, 1, 1, 2, 3], [1, 0, 2])), 3, "outside its dimension"),
        (_sparsity(_dense(4), _sparse([0, 1, 1, 2, 3], [1, 0, -1])), 3, "outside its dimension"),
        (_sparsity(_dense(4), _sparse([0, 1, 1, 2, 9], [1, 0, 1])), 3, "among its rows"),
        (_sparsity(_dense(4), _sparse([0, 2, 1, 2, 3], [1, 0, 1])), 3, "among its rows"),
        (_sparsity(_dense(4), _sparse([0, 3], [1, 0, 1])), 3, "among its rows"),
        (_sparsity(_dense(4), make_table("DimensionMetadata", format=1)), 0, "among its rows"),
        (_sparsity(_dense(4), _sparse([0, 9, 9, 9, 9], [0] * 9)), 9, "more values than its shape"),
        (
            _sparsity(_dense(1), _dense(2), _dense(3), order=(0, 1, 2), block_map=[0]),
            6,
            "do not divide",
        ),
        (
            _sparsity(_dense(1), _dense(2), _dense(2), order=(0, 1, 2), block_map=[5]),
            4,
            "not along its dimensions",
        ),
    ],
)
def test_sparsity_that_leads_astray_is_damage(sparsity: Table, values: int, message: str) -> None:
    with pytest.raises(InvalidModelError, match=f"'w' is damaged: .*{message}"):
        check_sparsity(_tensor(), sparsity, values)
