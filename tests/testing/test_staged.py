from collections.abc import Sequence
from random import Random

import numpy as np
import pytest

from mesh.errors import UnsupportedModelError
from mesh.model import cut_points, read_model
from mesh.testing.evaluator import evaluate
from mesh.testing.float_graph import FloatGraph
from mesh.testing.plausible import plausible_inputs
from mesh.testing.random_graphs import random_graph
from mesh.testing.sequence_models import gated_cell
from mesh.testing.staged import Array, Run, Staged, Whole


def _evaluator(pieces: Sequence[bytes | memoryview]) -> Run:
    model = read_model(b"".join(pieces))
    return lambda inputs: evaluate(model, inputs)


def _liar(pieces: Sequence[bytes | memoryview]) -> Run:
    """Each output comes in another shape."""
    run = _evaluator(pieces)
    return lambda inputs: [output.reshape(-1) for output in run(inputs)]


def test_stages_give_what_the_whole_gives() -> None:
    file = random_graph(Random(5))
    model = read_model(file)
    inputs = plausible_inputs(model, 1)
    cuts = [cut.layer for cut in cut_points(model)]

    whole = Whole(model, file, _evaluator).step(inputs)

    assert len(cuts) > 2
    for found, wanted in zip(Staged(model, cuts, _evaluator).step(inputs), whole, strict=True):
        assert found.tobytes() == wanted.tobytes()


def test_an_illegal_cut_is_the_models_error() -> None:
    with pytest.raises(UnsupportedModelError, match="share"):
        Staged(read_model(gated_cell()), [8], lambda _: lambda inputs: inputs)


def test_a_tensor_of_another_shape_than_announced_is_an_error() -> None:
    model = read_model(random_graph(Random(5)))
    with pytest.raises(ValueError, match="came as float32"):
        Staged(model, [1], _liar).step(plausible_inputs(model, 1))


def test_state_starts_as_zeros_and_stays_with_its_stage() -> None:
    file = gated_cell()
    model = read_model(file)
    seen: list[list[Array]] = []

    def load(pieces: Sequence[bytes | memoryview]) -> Run:
        part = read_model(b"".join(pieces))

        def run(inputs: Sequence[Array]) -> list[Array]:
            seen.append(list(inputs))
            return [np.full(spec.shape, len(seen), np.float32) for spec in part.graph_outputs]

        return run

    whole = Whole(model, file, load)
    x = np.ones((1, 8), np.float32)
    whole.step([x])
    whole.step([x])

    assert [content.max() for content in seen[0]] == [1, 0, 0]
    assert [content.max() for content in seen[1]] == [1, 1, 1]


def test_a_tensor_that_is_an_output_twice_comes_twice() -> None:
    graph = FloatGraph(8)
    x = graph.tensor((1, 4), "x")
    y = graph.unary("RELU", x)
    model = read_model(graph.builder.build({"x": x}, {"a": y, "b": graph.unary("RELU", y), "c": y}))

    first, second, third = Staged(model, [1], _evaluator).step([np.ones((1, 4), np.float32)])

    assert first.tobytes() == third.tobytes() == second.tobytes()
