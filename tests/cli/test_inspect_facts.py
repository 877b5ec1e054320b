"""What is told of a file."""

import dataclasses
import re
from itertools import pairwise
from pathlib import Path

import pytest

from mesh.cli import inspect_facts
from mesh.cli.inspect_facts import CHEAPEST, LEAST_SHARE, Inspection, inspect_model
from mesh.model import Limits, cut_points, read_model, weight_bytes
from mesh.model.tensor import LayerRange
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense
from mesh.testing.sequence_models import running_total

PAGE = (Path(__file__).parents[2] / "docs" / "inspect.md").read_text(encoding="utf-8")


def inspected(content: bytes) -> Inspection:
    model = read_model(content)
    return inspect_model(model, memoryview(content), Limits(), file="x.tflite", model_id="0" * 64)


@pytest.fixture(scope="module")
def cnn() -> Inspection:
    return inspected(residual_cnn("fp16"))


def test_layers_share_all_effort_and_carry_all_weights(cnn: Inspection) -> None:
    model = read_model(residual_cnn("fp16"))
    whole = weight_bytes(model, LayerRange(start=0, stop=len(model.layers)))
    assert sum(layer.effort_share for layer in cnn.layers) == pytest.approx(1)
    assert sum(layer.weight_bytes for layer in cnn.layers) == whole
    assert sum(kind.weight_bytes for kind in cnn.weights) == whole
    assert cnn.weights[0].type_name == "FLOAT16"


def test_operators_by_kind(cnn: Inspection) -> None:
    assert sum(kind.count for kind in cnn.operators) == len(cnn.layers) + cnn.copied_operators
    assert sum(kind.effort_share for kind in cnn.operators) == pytest.approx(1)
    dequantize = next(kind for kind in cnn.operators if kind.name == "DEQUANTIZE")
    assert (dequantize.count, dequantize.effort_share) == (cnn.copied_operators, 0)
    assert dequantize.weight_bytes == 0
    shares = [kind.effort_share for kind in cnn.operators]
    assert shares == sorted(shares, reverse=True)
    assert next(kind for kind in cnn.operators if kind.name == "CONV_2D").weight_bytes > 0


def test_names_that_clients_use(cnn: Inspection) -> None:
    assert [spec.name for spec in cnn.inputs] == ["image"]
    assert [spec.name for spec in cnn.outputs] == ["scores", "boxes"]
    assert cnn.signatures[0].key == "serving_default"
    assert cnn.signatures[0].outputs == ("scores", "boxes")
    assert cnn.labels == ()
    assert cnn.state == ()
    assert not cnn.keeps_hidden_state


def test_cheapest_cuts_leave_work_on_both_sides(cnn: Inspection) -> None:
    legal = {cut.layer: cut.live_bytes for cut in cut_points(read_model(residual_cnn("fp16")))}
    assert len(cnn.cheapest_cuts) == CHEAPEST
    for cut in cnn.cheapest_cuts:
        assert legal[cut.layer] == cut.live_bytes
        assert LEAST_SHARE <= cut.effort_before <= 1 - LEAST_SHARE
        assert cut.live_tensors
    sizes = [cut.live_bytes for cut in cnn.cheapest_cuts]
    assert sizes == sorted(sizes)


def test_splits_are_of_all_layers_and_legal(cnn: Inspection) -> None:
    legal = {boundary.layer for boundary in cnn.legal_cuts}
    assert [len(stages) for stages in cnn.splits] == [1, 2, 3, 4]
    for stages in cnn.splits:
        assert (stages[0].start, stages[-1].stop) == (0, len(cnn.layers))
        for one, other in pairwise(stages):
            assert one.stop == other.start
            assert one.stop in legal
            assert one.sent_bytes == other.received_bytes
        assert sum(stage.effort_share for stage in stages) == pytest.approx(1)
        assert all(memory > 0 for stage in stages for memory in stage.memory_bytes.values())


def test_what_cannot_be_cut_and_why() -> None:
    builder = ModelBuilder()
    x = builder.tensor("x", (1, 4))
    shape, a = builder.tensor("shape", (2,), "int32"), builder.tensor("a", (1, 4))
    y = builder.tensor("y", (1, 4))
    builder.operator("SHAPE", [x], [shape])
    builder.operator("RELU", [x], [a])
    builder.operator("RESHAPE", [a, shape], [y])
    z = builder.tensor("z", (1, 4))
    builder.operator("RELU", [y], [z])
    found = inspected(builder.build({"x": x}, {"z": z}))

    assert [(one.first, one.last) for one in found.uncuttable] == [(1, 3)]
    assert "'shape' decides the shape of others" in found.uncuttable[0].reason
    assert found.legal_cuts == ()
    assert "`mesh model add` makes it a constant" in (found.uncuttable_reason or "")


def test_what_can_be_cut_in_part() -> None:
    found = inspected(running_total())

    assert "share variable 'total'" in found.uncuttable[0].reason
    assert len(found.legal_cuts) == 3
    assert found.uncuttable_reason is None


def test_a_model_that_runs_only_whole() -> None:
    builder = ModelBuilder()
    x, y = builder.tensor("x", (1, 4)), builder.tensor("y", (1, 4))
    builder.operator("RELU", [x], [y])
    found = inspected(builder.build({"x": x}, {"y": y}))
    assert found.uncuttable_reason == "it has a single layer"
    assert [len(stages) for stages in found.splits] == [1]
    assert not found.cheapest_cuts
    assert not found.boundaries


def test_few_layers_give_few_stages() -> None:
    found = inspected(tiny_dense())
    assert [len(stages) for stages in found.splits] == [1, 2, 3]
    # Every cut of so small a model leaves work on both sides.
    assert {cut.layer for cut in found.cheapest_cuts} == {1, 2}


def test_the_page_lists_every_field() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    kinds = [
        kind
        for kind in vars(inspect_facts).values()
        if dataclasses.is_dataclass(kind) and kind.__module__ == inspect_facts.__name__
    ]
    assert len(kinds) == 8
    assert {field.name for kind in kinds for field in dataclasses.fields(kind)} <= named
    rows = {
        name for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE) for name in row.split(", ")
    }
    assert rows == {f"`{field.name}`" for field in dataclasses.fields(Inspection)}
