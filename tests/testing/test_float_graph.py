from collections.abc import Callable

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from mesh.model import read_model
from mesh.testing.float_graph import FloatGraph
from mesh.testing.models import GENERATED


@pytest.mark.parametrize("make", [GENERATED["transformer"], GENERATED["branches"]])
def test_shapes_are_those_that_the_interpreter_infers(make: Callable[[], bytes]) -> None:
    file = make()
    interpreter = Interpreter(
        model_content=file,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    inferred = {one["index"]: tuple(one["shape"]) for one in interpreter.get_tensor_details()}

    for operator in read_model(file).operators:
        for tensor in operator.outputs:
            assert read_model(file).tensors[tensor].shape == inferred[tensor]


def test_lists_become_int32_and_arrays_stay_as_they_are() -> None:
    graph = FloatGraph(0)
    axes, table = graph.constant([0, 2]), graph.constant(np.ones((2, 2), np.float16))
    x, y = graph.tensor((1, 2), "x"), graph.tensor((1, 2), "y")
    graph.builder.operator("ADD", [x, x], [y])
    model = read_model(graph.builder.build({"x": x}, {"y": y}))

    assert [model.tensors[at].type_name for at in (axes, table)] == ["INT32", "FLOAT16"]


def test_without_bias_the_third_input_is_left_out() -> None:
    graph = FloatGraph(0)
    x = graph.tensor((1, 2), "x")
    model = read_model(graph.builder.build({"x": x}, {"y": graph.dense(x, 3, bias=False)}))

    assert model.layers[0].inputs[2] == -1


def test_the_same_seed_draws_the_same_weights() -> None:
    def built(seed: int) -> bytes:
        graph = FloatGraph(seed)
        x = graph.tensor((1, 2), "x")
        return graph.builder.build({"x": x}, {"y": graph.dense(x, 3)})

    assert built(1) == built(1)
    assert built(1) != built(2)
