import numpy as np
import pytest

from mesh.model import Model, read_model
from mesh.model.table import make_table
from mesh.runtime.golden import golden_inputs
from mesh.testing.float_graph import FloatGraph
from mesh.testing.models import residual_cnn, tiny_dense
from mesh.testing.plausible import plausible_inputs
from mesh.testing.sequence_models import transformer


def test_seed_0_is_the_golden_input() -> None:
    model = read_model(tiny_dense())
    (content,) = plausible_inputs(model, 0)

    assert content.tobytes() == golden_inputs(model.inputs)[0]


@pytest.mark.parametrize("data_type", ["int8", "int16x8"])
def test_quantized_inputs_use_their_range(data_type: str) -> None:
    model = read_model(residual_cnn("int8" if data_type == "int8" else "int16x8"))
    (content,) = plausible_inputs(model, 1)
    bounds = np.iinfo(content.dtype)

    assert content.min() < 0.9 * bounds.min
    assert content.max() > 0.9 * bounds.max


def test_floats_lie_around_zero() -> None:
    (content,) = plausible_inputs(read_model(tiny_dense()), 1)
    assert content.min() < 0 < content.max()
    assert np.abs(content).max() <= 1


def test_indices_are_rows_of_their_table() -> None:
    ids, _ = plausible_inputs(read_model(transformer()), 1)
    assert 2 < ids.max() < 64


def _through_cast(rows: int) -> Model:
    graph = FloatGraph(1)
    ids = graph.builder.tensor("ids", (1, 5), "int64")
    cast = graph.builder.tensor("cast", (1, 5), "int32")
    options = make_table("CastOptions", in_data_type=4, out_data_type=2)
    graph.builder.operator("CAST", [ids], [cast], options)
    y = graph.gather(graph.weights(rows, 3), cast, 5)
    return read_model(graph.builder.build({"ids": ids}, {"y": y}))


def test_indices_are_known_behind_a_cast() -> None:
    (ids,) = plausible_inputs(_through_cast(1), 1)
    assert ids.max() == 0
    assert max(plausible_inputs(_through_cast(100), seed)[0].max() for seed in range(1, 9)) > 60


def test_another_seed_is_another_input() -> None:
    model = read_model(tiny_dense())
    assert plausible_inputs(model, 1)[0].tobytes() != plausible_inputs(model, 2)[0].tobytes()
