import numpy as np
import pytest

from mesh.errors import UnsupportedModelError
from mesh.model import (
    LayerRange,
    Model,
    cut_points,
    read_model,
    stage_interface,
    uncuttable_reason,
)
from mesh.model.table import make_table
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense


def _diamond() -> Model:
    """x -> a -> b -> sum, with the skip a -> sum; outputs sum, x itself, a and a constant."""
    builder = ModelBuilder()
    x, a, b, total = (builder.tensor(name, (1, 4)) for name in ("x", "a", "b", "sum"))
    unused = builder.tensor("unused", (1, 2))
    fixed = builder.constant("fixed", np.zeros(3, np.float32))
    builder.operator("RELU", [x], [a])
    builder.operator("ABS", [a], [b])
    builder.operator("ADD", [a, b], [total], make_table("AddOptions"))
    return read_model(
        builder.build({"x": x, "unused": unused}, {"sum": total, "x": x, "a": a, "fixed": fixed})
    )


def _names(specs: tuple[object, ...]) -> list[str]:
    return [spec.name for spec in specs]  # type: ignore[attr-defined]


def test_a_cut_carries_each_live_tensor_once() -> None:
    cuts = cut_points(_diamond())

    assert [cut.layer for cut in cuts] == [1, 2]
    assert [_names(cut.live) for cut in cuts] == [["x", "a"], ["x", "a", "b"]]
    assert [cut.live_bytes for cut in cuts] == [32, 48]


def test_the_first_stage_receives_all_inputs_and_consumes_what_it_uses() -> None:
    interface = stage_interface(_diamond(), LayerRange(start=0, stop=1))

    assert _names(interface.received) == ["x", "unused"]
    assert _names(interface.consumed) == ["x"]
    assert _names(interface.produced) == ["a"]
    assert _names(interface.sent) == ["x", "a"]


def test_what_a_stage_does_not_use_passes_it_by() -> None:
    interface = stage_interface(_diamond(), LayerRange(start=1, stop=2))

    assert _names(interface.received) == ["x", "a"]
    assert _names(interface.consumed) == ["a"]
    assert _names(interface.produced) == ["b"]
    assert _names(interface.sent) == ["x", "a", "b"]


def test_the_last_stage_sends_the_outputs_in_the_models_order() -> None:
    interface = stage_interface(_diamond(), LayerRange(start=2, stop=3))

    assert _names(interface.sent) == ["sum", "x", "a", "fixed"]
    assert _names(interface.produced) == ["sum", "fixed"]


def test_the_whole_model_is_one_stage() -> None:
    model = read_model(residual_cnn("float32"))
    interface = stage_interface(model, LayerRange(start=0, stop=len(model.layers)))

    assert interface.received == interface.consumed == model.inputs
    assert interface.produced == interface.sent == model.outputs


@pytest.mark.parametrize("data_type", ["float32", "int8", "fp16"])
def test_one_stage_sends_what_the_next_receives(data_type: str) -> None:
    model = read_model(residual_cnn(data_type))  # type: ignore[arg-type]
    cuts = cut_points(model)

    assert len(cuts) == len(model.layers) - 1
    for before, cut, after in zip((0, *range(1, 20)), cuts, cuts[1:], strict=False):
        left = stage_interface(model, LayerRange(start=before, stop=cut.layer))
        right = stage_interface(model, LayerRange(start=cut.layer, stop=after.layer))
        assert left.sent == cut.live == right.received
        assert cut.live_bytes == sum(spec.size_bytes for spec in left.sent)


def _flatten() -> Model:
    """What Keras makes of Flatten with an open batch: the shape comes from SHAPE."""
    builder = ModelBuilder()
    x = builder.tensor("x", (1, 2, 2), shape_signature=[-1, 2, 2])
    y = builder.tensor("y", (1, 2, 2), shape_signature=[-1, 2, 2])
    shape, batch = builder.tensor("shape", (3,), "int32"), builder.tensor("batch", (), "int32")
    target = builder.tensor("target", (2,), "int32")
    flat = builder.tensor("flat", (1, 4), shape_signature=[-1, 4])
    zero, one = (builder.constant(n, np.array([v], np.int32)) for n, v in (("0", 0), ("1", 1)))
    four = builder.constant("four", np.array(4, np.int32))
    end = builder.tensor("end", (1, 4), shape_signature=[-1, 4])
    builder.operator("RELU", [x], [y])
    builder.operator("SHAPE", [y], [shape], make_table("ShapeOptions", out_type=2))
    slicing = make_table("StridedSliceOptions", shrink_axis_mask=1)
    builder.operator("STRIDED_SLICE", [shape, zero, one, one], [batch], slicing)
    builder.operator("PACK", [batch, four], [target], make_table("PackOptions", values_count=2))
    builder.operator("RESHAPE", [y, target], [flat], make_table("ReshapeOptions"))
    builder.operator("ABS", [flat], [end])
    return read_model(builder.build({"x": x}, {"end": end}))


def test_no_cut_parts_a_shape_from_its_use() -> None:
    assert [cut.layer for cut in cut_points(_flatten())] == [1, 5]


def test_a_forbidden_cut_is_refused_with_its_reason() -> None:
    with pytest.raises(UnsupportedModelError, match="before layer 3: tensor 'batch' crosses"):
        stage_interface(_flatten(), LayerRange(start=3, stop=6))


@pytest.mark.parametrize(("start", "stop"), [(0, 4), (3, 4), (4, 5)])
def test_a_range_beyond_the_layers_is_refused(start: int, stop: int) -> None:
    with pytest.raises(UnsupportedModelError, match="3 layers"):
        stage_interface(read_model(tiny_dense()), LayerRange(start=start, stop=stop))


def _single(*operators: str) -> Model:
    builder = ModelBuilder()
    tensors = [builder.tensor(f"t{i}", (1, 0 if 0 < i < len(operators) else 4)) for i in range(9)]
    for at, name in enumerate(operators):
        builder.operator(name, [tensors[at]], [tensors[at + 1]])
    return read_model(builder.build({"x": tensors[0]}, {"y": tensors[len(operators)]}))


def test_why_a_model_runs_only_whole_is_said() -> None:
    assert uncuttable_reason(read_model(tiny_dense())) is None
    assert uncuttable_reason(_single("RELU")) == "it has a single layer"
    assert cut_points(_single("RELU")) == ()
    assert "'t1' crosses, which is empty" in (uncuttable_reason(_single("RELU", "ABS")) or "")
