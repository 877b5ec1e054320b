import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import UnsupportedModelError
from mesh.model import read_model, slice_model
from mesh.model.decoder import decode
from mesh.model.limits import Limits
from mesh.model.rewrite import Shape, probe_pieces, read_draft, with_shapes, with_state
from mesh.model.table import make_table
from mesh.model.tensor import LayerRange
from mesh.testing.graph_models import two_signatures
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn
from mesh.testing.sequence_models import gated_cell, running_total


def _flatten() -> bytes:
    """What Keras makes of Flatten with an open batch and an open width."""
    builder = ModelBuilder()
    x = builder.tensor("x", (1, 1, 2), shape_signature=[-1, -1, 2])
    y = builder.tensor("y", (1, 1, 2), shape_signature=[-1, -1, 2])
    shape, batch = builder.tensor("shape", (3,), "int32"), builder.tensor("batch", (), "int32")
    target = builder.tensor("target", (2,), "int32")
    flat = builder.tensor("flat", (1, 2), shape_signature=[-1, -1])
    zero, one = (builder.constant(n, np.array([v], np.int32)) for n, v in (("0", 0), ("1", 1)))
    rest = builder.constant("rest", np.array(-1, np.int32))
    builder.operator("RELU", [x], [y])
    builder.operator("SHAPE", [y], [shape], make_table("ShapeOptions", out_type=2))
    slicing = make_table("StridedSliceOptions", shrink_axis_mask=1)
    builder.operator("STRIDED_SLICE", [shape, zero, one, one], [batch], slicing)
    builder.operator("PACK", [batch, rest], [target], make_table("PackOptions", values_count=2))
    builder.operator("RESHAPE", [y, target], [flat], make_table("ReshapeOptions"))
    return builder.build({"x": x}, {"flat": flat})


_FIXED: dict[str, Shape] = {"x": (3, 2, 2), "y": (3, 2, 2), "flat": (3, 4)}
_CONTENTS = {"shape": (3, 2, 2), "batch": (3,), "target": (3, -1)}


def _fixed() -> bytes:
    draft = read_draft(_flatten())
    by_name = {tensor.name: tensor.index for tensor in draft.tensors}
    contents = {
        by_name[name]: np.array(values, np.int32).tobytes() for name, values in _CONTENTS.items()
    }
    shapes = [_FIXED.get(tensor.name, tensor.shape) for tensor in draft.tensors]
    return b"".join(with_shapes(draft, shapes, contents))


def test_a_draft_tells_what_is_open() -> None:
    draft = read_draft(_flatten())

    assert [(one.name, one.shape, one.present) for one in draft.inputs] == [
        ("x", (-1, -1, 2), (1, 1, 2))
    ]
    assert draft.needs_fixing
    assert {draft.tensors[index].name for index in draft.shape_tensors} == _CONTENTS.keys()
    assert not read_draft(residual_cnn("int8")).needs_fixing


def test_an_open_batch_alone_needs_no_fixing() -> None:
    builder = ModelBuilder()
    x = builder.tensor("x", (1, 4), shape_signature=[-1, 4])
    y = builder.tensor("y", (1, 4), shape_signature=[-1, 4])
    builder.operator("RELU", [x], [y])

    draft = read_draft(builder.build({"x": x}, {"y": y}))

    assert not draft.needs_fixing
    assert draft.choose({}) == {x: (1, 4)}
    assert draft.choose({"x": (5, 4)}) == {x: (5, 4)}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            {},
            r"input 'x' has shape \[\?, \?, 2\], where \? is open: say .* --input-shape x=N,N,2 with",
        ),
        ({"q": (1, 2, 3)}, "no input 'q'; its inputs: x"),
        ({"x": (1, 2)}, "a shape for it has 3 sizes"),
        ({"x": (1, 0, 2)}, "sizes of at least 1"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(wanted: dict[str, Shape], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        read_draft(_flatten()).choose(wanted)


def test_a_fixed_file_is_read_and_runs(run_model: Callable[[bytes, list[Any]], list[Any]]) -> None:
    file = _fixed()
    model = read_model(file)
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 2, 2)

    assert [operator.name for operator in model.operators] == ["RELU", "RESHAPE"]
    assert not model.shape_tensors
    assert not read_draft(file).needs_fixing
    assert np.array_equal(run_model(file, [x])[0], np.maximum(x, 0).reshape(3, 4))


def test_a_tensor_that_stays_open_is_named_with_its_maker() -> None:
    draft = read_draft(_flatten())
    shapes = [None if tensor.name == "flat" else tensor.shape for tensor in draft.tensors]

    with pytest.raises(UnsupportedModelError, match=r"'flat', which operator 4 \(RESHAPE\) makes"):
        with_shapes(draft, shapes, {})


def test_a_probe_gives_out_what_decides_shapes() -> None:
    draft = read_draft(_flatten())

    outputs = decode(memoryview(b"".join(probe_pieces(draft))), Limits()).tables("subgraphs")[0]

    assert outputs.integers("outputs") == (5, *draft.shape_tensors)


def _with_labels(file: bytes) -> bytes:
    packed = BytesIO(file)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("labels.txt", "cat\ndog\n")
    return packed.getvalue()


@pytest.mark.parametrize("make", [residual_cnn, two_signatures, running_total])
def test_all_else_goes_over_unchanged(make: Callable[..., bytes]) -> None:
    file = _with_labels(make("int8") if make is residual_cnn else make())
    draft = read_draft(file)

    again = b"".join(with_shapes(draft, [tensor.shape for tensor in draft.tensors], {}))

    assert decode(memoryview(again), Limits()) == draft.root
    with zipfile.ZipFile(BytesIO(again)) as archive:
        assert archive.read("labels.txt") == b"cat\ndog\n"


def test_declared_state_is_read_back() -> None:
    file = _with_labels(gated_cell(declares_state=False))

    declared = b"".join(with_state(file, [("h", "next_h"), ("c", "next_c")]))

    model, known = read_model(declared), read_model(gated_cell())
    assert [spec.name for spec in model.inputs] == ["x"]
    assert model.state == known.state
    whole = LayerRange(start=0, stop=len(model.layers))
    assert slice_model(model, whole) == slice_model(known, whole)
    with zipfile.ZipFile(BytesIO(declared)) as archive:
        assert archive.namelist() == ["labels.txt"]


def test_a_new_declaration_replaces_the_one_before() -> None:
    declared = b"".join(with_state(gated_cell(), [("c", "next_c")]))

    assert [pair.input.name for pair in read_model(declared).state] == ["c"]


def test_state_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="its inputs: x, h, c"):
        with_state(gated_cell(), [("hidden", "next_h")])


@pytest.mark.samples
def test_a_real_model_with_weights_and_labels_goes_over(
    sample_model: Callable[[str], Path],
) -> None:
    file = sample_model("hand_landmark_full").read_bytes()
    draft = read_draft(file)

    again = b"".join(with_shapes(draft, [tensor.shape for tensor in draft.tensors], {}))

    assert decode(memoryview(again), Limits()) == draft.root
    assert b"handedness.txt" in again
