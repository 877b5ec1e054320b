"""An interpreter's own process says the shapes; its answers are believed only when they make sense."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import ChildDiedError, ChildHungError, DeviceError, UnsupportedModelError
from mesh.model.rewrite import Shape, probe_pieces, read_draft, with_shapes
from mesh.model.table import make_table
from mesh.runtime import shapes
from mesh.runtime.control import Package
from mesh.runtime.detect import choose_package, installed_version
from mesh.runtime.shapes import InferredShapes, infer_shapes
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense

PACKAGE = choose_package("auto", installed_version)
TIMEOUT_S = 60.0


def flatten() -> bytes:
    """A batch that is open, and goes by SHAPE, STRIDED_SLICE and PACK into a RESHAPE."""
    builder = ModelBuilder()
    x = builder.tensor("x", (1, 2, 2), shape_signature=[-1, 2, 2])
    shape, batch = builder.tensor("shape", (3,), "int32"), builder.tensor("batch", (), "int32")
    target = builder.tensor("target", (2,), "int32")
    flat = builder.tensor("flat", (1, 4), shape_signature=[-1, 4])
    end = builder.tensor("end", (1, 4), shape_signature=[-1, 4])
    zero, one = (builder.constant(n, np.array([v], np.int32)) for n, v in (("0", 0), ("1", 1)))
    four = builder.constant("four", np.array(4, np.int32))
    builder.operator("SHAPE", [x], [shape], make_table("ShapeOptions", out_type=2))
    slicing = make_table("StridedSliceOptions", shrink_axis_mask=1)
    builder.operator("STRIDED_SLICE", [shape, zero, one, one], [batch], slicing)
    builder.operator("PACK", [batch, four], [target], make_table("PackOptions", values_count=2))
    builder.operator("RESHAPE", [x, target], [flat], make_table("ReshapeOptions"))
    builder.operator("ABS", [flat], [end])
    return builder.build({"x": x}, {"end": end})


def infer(path: Path, file: bytes, inputs: dict[int, Shape], **changes: Any) -> InferredShapes:
    draft = read_draft(file)
    path.write_bytes(b"".join(probe_pieces(draft)))
    options: dict[str, Any] = {
        "tensors": len(draft.tensors),
        "contents_of": draft.shape_tensors,
        "package": PACKAGE,
        "timeout_s": TIMEOUT_S,
    }
    return infer_shapes(path, inputs, **(options | changes))


def test_shapes_follow_the_inputs_also_through_shape_operators(tmp_path: Path) -> None:
    found = infer(tmp_path / "x.tflite", flatten(), {0: (3, 2, 2)})

    assert found.shapes[0] == (3, 2, 2)
    assert found.shapes[4] == found.shapes[5] == (3, 4)
    assert {at: np.frombuffer(raw, "<i4").tolist() for at, raw in found.contents.items()} == {
        1: [3, 2, 2],
        2: [3],
        3: [3, 4],
    }


def test_shapes_that_the_model_cannot_take_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"refuses x\.tflite in these shapes"):
        infer(tmp_path / "x.tflite", residual_cnn("float32"), {0: (1, 32, 32, 5)})


def test_a_package_that_is_not_there_is_named(tmp_path: Path) -> None:
    other = next(package for package in Package if package is not PACKAGE)
    with pytest.raises(DeviceError, match="cannot be imported"):
        infer(tmp_path / "x.tflite", tiny_dense(), {}, package=other)


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b"{}",
        b'{"shapes": [["a"]], "contents": ["00"]}',
        b'{"shapes": [[-1]], "contents": ["00"]}',
        b'{"shapes": [[4294967296]], "contents": ["00"]}',
        b'{"shapes": [3], "contents": ["00"]}',
        b'{"shapes": [[1]], "contents": ["no hex"]}',
        b'{"shapes": [[1]], "contents": [7]}',
    ],
)
def test_nonsense_of_a_damaged_process_is_its_death(
    monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(shapes, "_exchange", lambda *_: answer)

    with pytest.raises(ChildDiedError, match="answered nonsense about the shapes"):
        infer_shapes(Path("x.tflite"), {}, tensors=1, contents_of=[0], timeout_s=60.0)


def test_an_answer_is_not_waited_for_without_end(tmp_path: Path) -> None:
    with pytest.raises(ChildHungError, match="in time"):
        infer(tmp_path / "x.tflite", tiny_dense(), {}, timeout_s=0.0)


def test_memory_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="in these shapes"):
        infer(
            tmp_path / "x.tflite",
            flatten(),
            {0: (100_000_000, 2, 2)},
            memory_bytes=256 << 20,
        )


def _outputs(file: bytes, shape: Shape, x: Any) -> list[bytes]:
    module = pytest.importorskip(PACKAGE.value)
    interpreter = module.Interpreter(model_content=file, num_threads=1)
    (detail,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(detail["index"], shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    return [interpreter.get_tensor(o["index"]).tobytes() for o in interpreter.get_output_details()]


@pytest.mark.samples
def test_a_real_model_in_a_chosen_shape_gives_the_same_bits(
    sample_model: Callable[[str], Path], tmp_path: Path
) -> None:
    file = sample_model("melspectrogram").read_bytes()
    draft = read_draft(file)
    chosen = draft.choose({"input": (1, 1280)})
    found = infer(tmp_path / "x.tflite", file, chosen)
    fixed = b"".join(with_shapes(draft, found.shapes, found.contents))
    x = np.random.default_rng(0).uniform(-1, 1, (1, 1280)).astype(np.float32)

    assert _outputs(fixed, (1, 1280), x) == _outputs(file, (1, 1280), x)
