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
from mesh.testing.sequence_models import gated_cell, running_total, variable_filter


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


def test_a_model_that_computes_shapes_is_not_cut() -> None:
    assert cut_points(_flatten()) == ()


def test_a_forbidden_cut_is_refused_with_its_reason() -> None:
    with pytest.raises(UnsupportedModelError, match="layer 3: tensor 'shape' decides the shape"):
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


def test_no_cut_parts_the_users_of_a_state() -> None:
    cell, total = read_model(gated_cell()), read_model(running_total())

    for model in (cell, total):
        legal = {cut.layer for cut in cut_points(model)}
        for bond in model.bonds:
            assert legal.isdisjoint(range(bond.first + 1, bond.last + 1))
        assert legal


def test_a_cut_within_a_state_is_refused_by_its_name() -> None:
    message = "layers 1 to 3 share variable 'total', which stays in one interpreter"

    with pytest.raises(UnsupportedModelError, match=message):
        stage_interface(read_model(running_total()), LayerRange(start=0, stop=2))


def test_explicit_state_stays_at_the_stage_that_makes_it() -> None:
    model = read_model(gated_cell())
    first, second, third = (
        stage_interface(model, LayerRange(start=start, stop=stop))
        for start, stop in ((0, 2), (2, 14), (14, len(model.layers)))
    )

    assert second.state == model.state
    assert first.state == third.state == ()
    assert [spec.name for spec in second.consumed][-2:] == ["h", "c"]
    assert {"h", "c"}.isdisjoint(spec.name for spec in second.received)
    assert {"next_h", "next_c"} <= {spec.name for spec in second.produced}
    assert "next_c" not in {spec.name for spec in second.sent}  # next_h is read by a later layer
    assert third.received == second.sent


def test_the_stage_with_the_hidden_state_says_so() -> None:
    model = read_model(variable_filter())
    told = [
        stage_interface(model, LayerRange(start=at, stop=at + 1)).keeps_hidden_state
        for at in range(len(model.layers))
    ]

    assert told == [False, False, True, False, False]


def _shared_by_all() -> Model:
    """A variable that the first layer reads and the last one writes."""
    builder = ModelBuilder()
    handle = builder.tensor("handle", (), "resource")
    builder.operator("VAR_HANDLE", [], [handle], make_table("VarHandleOptions", shared_name="all"))
    before, x, y = (builder.tensor(name, (1, 4)) for name in ("before", "x", "y"))
    builder.operator("READ_VARIABLE", [handle], [before])
    builder.operator("ADD", [x, before], [y], make_table("AddOptions"))
    builder.operator("ASSIGN_VARIABLE", [handle, y], [])
    return read_model(builder.build({"x": x}, {"y": y}))


def test_where_state_spans_the_model_the_reason_names_it() -> None:
    model = _shared_by_all()

    assert cut_points(model) == ()
    assert "layers 0 to 2 share variable 'all'" in (uncuttable_reason(model) or "")
    whole = stage_interface(model, LayerRange(start=0, stop=3))
    assert whole.keeps_hidden_state
