from random import Random

from mesh.model import Model, cut_points, read_model
from mesh.testing.random_graphs import random_graph

_MODELS = [read_model(random_graph(Random(seed))) for seed in range(200)]


def _count(models: list[bool]) -> int:
    return sum(models)


def _shares_a_buffer(model: Model) -> bool:
    read = {tensor for operator in model.operators for tensor in operator.reads}
    buffers = [model.tensors[tensor].buffer for tensor in read if model.tensors[tensor].buffer]
    return len(set(buffers)) < len(buffers)


def test_the_same_chance_draws_the_same_graph() -> None:
    assert random_graph(Random(3)) == random_graph(Random(3))


def test_every_graph_has_a_layer_and_an_output() -> None:
    assert all(model.layers and model.outputs for model in _MODELS)


def test_all_that_may_occur_does() -> None:
    occurrences = [
        [len(model.outputs) > 2 for model in _MODELS],
        [len(model.inputs) == 3 for model in _MODELS],
        [bool(model.copied) for model in _MODELS],
        [any(-1 in layer.inputs for layer in model.layers) for model in _MODELS],
        [any(len(layer.outputs) > 1 for layer in model.layers) for model in _MODELS],
        [_shares_a_buffer(model) for model in _MODELS],
        [
            {s.index for s in model.inputs} & {s.index for s in model.outputs} != set()
            for model in _MODELS
        ],
        [any(len(cut.live) > 3 for cut in cut_points(model)) for model in _MODELS],
        [len(model.operators) > len(model.layers) + len(model.copied) for model in _MODELS],
    ]
    assert min(_count(each) for each in occurrences) >= 10
