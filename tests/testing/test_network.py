from typing import get_args

import numpy as np
import pytest

from mesh.model import Model, read_model
from mesh.model.table import Table
from mesh.testing.models import residual_cnn
from mesh.testing.network import NumberFormat, sparse_rows


def _names(model: Model) -> set[str]:
    return {operator.name for operator in model.operators}


def _weights(model: Model, layer: int) -> str:
    operator = model.layers[layer]
    return model.tensors[operator.inputs[1]].type_name


def test_half_and_sparse_weights_are_unpacked_by_operators_of_their_own() -> None:
    assert "DEQUANTIZE" in _names(read_model(residual_cnn("fp16")))
    assert "DENSIFY" in _names(read_model(residual_cnn("sparse")))
    assert _names(read_model(residual_cnn("dynamic"))) == _names(
        read_model(residual_cnn("float32"))
    )


@pytest.mark.parametrize(
    ("number_format", "activations", "weights"),
    [
        ("float32", "FLOAT32", "FLOAT32"),
        ("dynamic", "FLOAT32", "INT8"),
        ("int8", "INT8", "INT8"),
        ("int16x8", "INT16", "INT8"),
    ],
)
def test_each_format_stores_its_types(
    number_format: NumberFormat, activations: str, weights: str
) -> None:
    model = read_model(residual_cnn(number_format))

    assert {model.tensors[spec.index].type_name for spec in model.inputs} == {activations}
    assert _weights(model, 0) == weights


def test_every_format_has_the_same_layers() -> None:
    layers = {
        tuple(operator.name for operator in read_model(residual_cnn(name)).layers)
        for name in get_args(NumberFormat)
    }

    assert len(layers) == 1


def _values(table: Table | None) -> tuple[int, ...]:
    assert table is not None
    return table.integers("values")


def test_sparse_rows_say_where_each_value_stands() -> None:
    content = np.zeros((2, 3, 4), np.float32)
    content[0, 0, 1], content[0, 2, 3], content[1, 1, 0] = 1, 2, 3

    values, sparsity = sparse_rows(content)

    *_, last = sparsity.tables("dim_metadata")
    assert values.tolist() == [1, 2, 3]
    assert _values(last.table("array_segments")) == (0, 1, 1, 2, 2, 3, 3)
    assert _values(last.table("array_indices")) == (1, 3, 0)
