import math

import pytest

from mesh.device.effort import layer_efforts
from mesh.device.load import FORMATS, MATRIX, VECTOR, kind_of, piece_loads
from mesh.model import Model, read_model
from mesh.testing.float_graph import FloatGraph
from mesh.testing.models import residual_cnn
from mesh.testing.network import NumberFormat


def kinds(model: Model) -> set[tuple[str, str]]:
    return {kind_of(model, layer) for layer in model.layers}


def test_no_effort_is_lost_or_counted_twice() -> None:
    model = read_model(residual_cnn("float32"))
    loads = piece_loads(model, (0, 3, 7, len(model.layers)))
    assert len(loads) == 3
    total = math.fsum(effort for load in loads for effort in load.values())
    assert total == pytest.approx(math.fsum(layer_efforts(model)))
    assert all(kind[1] in FORMATS for load in loads for kind in load)


@pytest.mark.parametrize(
    ("number_format", "expected"),
    [("float32", "float32"), ("fp16", "float32"), ("int8", "int8"), ("int16x8", "int16")],
)
def test_the_number_format_is_that_of_activations(
    number_format: NumberFormat, expected: str
) -> None:
    found = kinds(read_model(residual_cnn(number_format)))
    assert {number_format for _, number_format in found} == {expected}


def test_float_activations_on_int8_weights_are_a_format_of_their_own() -> None:
    found = kinds(read_model(residual_cnn("dynamic")))
    assert ("CONV_2D", "dynamic") in found
    assert ("ADD", "float32") in found


def test_a_product_counts_by_its_rows_not_by_its_name() -> None:
    graph = FloatGraph(seed=1)
    x = graph.tensor((1, 64, 16), "x")
    many = graph.dense(x, 8)
    y = graph.dense(graph.reshape(many, 1, 512), 4)
    model = read_model(graph.builder.build({"x": x}, {"y": y}))
    assert [kind_of(model, layer)[0] for layer in model.layers] == [MATRIX, "RESHAPE", VECTOR]
