"""How an inspection reads."""

from dataclasses import replace

import pytest

from mesh.cli.canvas import Canvas
from mesh.cli.inspect_facts import Inspection, Uncuttable, inspect_model
from mesh.cli.inspect_view import render
from mesh.model import DataType, Limits, TensorSpec, read_model
from mesh.testing.models import residual_cnn, tiny_dense


def inspected(content: bytes) -> Inspection:
    return inspect_model(
        read_model(content), memoryview(content), Limits(), file="x.tflite", model_id="90cbd402" * 8
    )


@pytest.fixture(scope="module")
def cnn() -> Inspection:
    return inspected(residual_cnn("float32"))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_all_of_it_fits(cnn: Inspection, width: int) -> None:
    text = render(cnn, Canvas(width=width))
    assert max(map(len, text.splitlines())) <= width
    for part in ("x.tflite  15 layers", "90cbd402", "image", "1 × 32 × 32 × 3", "CONV_2D"):
        assert part in text
    for part in ("CUT BEFORE", "can be cut everywhere", "IN LITERT", "48 MiB"):
        assert part in " ".join(text.split())


def test_labels_state_and_trouble_with_metadata(cnn: Inspection) -> None:
    labels = tuple(f"class {number}" for number in range(1000))
    found = replace(cnn, labels=labels, keeps_hidden_state=True, metadata_problem="it is damaged")
    text = " ".join(render(found, Canvas(width=120)).split())
    assert "labels 1,000: class 0, class 1, class 2, class 3, class 4, class 5, …" in text
    assert "keeps some inside the interpreter" in text
    assert "cannot be read: it is damaged" in text


def test_what_cannot_be_cut(cnn: Inspection) -> None:
    regions = tuple(Uncuttable(first=n, last=n + 1, reason=f"r{n}") for n in range(1, 41, 2))
    text = render(replace(cnn, uncuttable=regions), Canvas())
    assert "no cut before 1–2" in text
    assert "and 12 more regions" in text
    whole = replace(cnn, uncuttable_reason="it has a single layer", splits=cnn.splits[:1])
    text = render(whole, Canvas())
    assert "cannot be cut: it has a single layer" in text
    assert "CUT BEFORE" not in text


def test_hostile_names_and_numbers_stay_bounded(cnn: Inspection) -> None:
    spec = TensorSpec(index=0, name="n" * 4000, data_type=DataType.FP32, shape=(1,) * 8)
    found = replace(cnn, inputs=(spec,) * 500, description="d" * 2000, file="f" * 250)
    text = render(found, Canvas(width=120))
    assert len(text.splitlines()) < 100
    assert "… and 488 more" in text
    assert max(map(len, text.splitlines())) <= 120


def test_few_cuts_are_said() -> None:
    assert "allow no more than 3" in " ".join(render(inspected(tiny_dense()), Canvas()).split())
