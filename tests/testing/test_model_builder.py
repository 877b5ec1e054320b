import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from mesh.model.table import make_table
from mesh.testing.model_builder import ModelBuilder


def _sum_with(constant: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> bytes:
    builder = ModelBuilder()
    x, y = builder.tensor("x", constant.shape), builder.tensor("y", constant.shape)
    builder.operator("ADD", [x, builder.constant("c", constant)], [y], make_table("AddOptions"))
    return builder.build({"left": x}, {"sum": y})


def test_a_built_model_runs_under_its_signature() -> None:
    interpreter = Interpreter(
        model_content=_sum_with(np.full((1, 3), 2, np.float32)), num_threads=1
    )

    runner = interpreter.get_signature_runner("serving_default")

    np.testing.assert_array_equal(runner(left=np.ones((1, 3), np.float32))["sum"], [[3, 3, 3]])


def test_quantization_reaches_the_runtime() -> None:
    builder = ModelBuilder()
    x = builder.tensor("x", (2,), "int8", quantization=(0.5, -3))
    y = builder.tensor("y", (2,))
    builder.operator("DEQUANTIZE", [x], [y], make_table("DequantizeOptions"), version=2)
    interpreter = Interpreter(model_content=builder.build({"x": x}, {"y": y}), num_threads=1)
    interpreter.allocate_tensors()

    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.array([-3, 1], np.int8))
    interpreter.invoke()

    output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_array_equal(output, [0, 2])


def test_big_endian_constants_are_written_little_endian() -> None:
    assert _sum_with(np.ones((1, 3), ">f4")) == _sum_with(np.ones((1, 3), "<f4"))


def test_an_operator_that_the_schema_lacks_cannot_be_built() -> None:
    builder = ModelBuilder()
    x = builder.tensor("x", (1,))
    builder.operator("NO_SUCH_OPERATOR", [x], [x])

    with pytest.raises(ValueError, match="not in tuple"):
        builder.build({"x": x}, {"x": x})
