"""The drawing is sound XML of bounded size, whatever the model."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from mesh.cli.inspect_facts import Inspection, Uncuttable, inspect_model
from mesh.cli.inspect_svg import WIDTH, draw
from mesh.model import Limits, read_model
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense

NAMESPACE = "{http://www.w3.org/2000/svg}"


def inspected(content: bytes) -> Inspection:
    return inspect_model(
        read_model(content), memoryview(content), Limits(), file="x.tflite", model_id="0" * 64
    )


def chain(layers: int) -> Inspection:
    builder = ModelBuilder()
    x = last = builder.tensor("x", (1, 4))
    for place in range(layers):
        y = builder.tensor(f"y{place}", (1, 4 + place % 7))
        builder.operator("RELU", [last], [y])
        last = y
    return inspected(builder.build({"x": x}, {"y": last}))


def marks(drawing: str, style: str) -> list[dict[str, str]]:
    root = ET.fromstring(drawing)
    return [dict(one.attrib) for one in root.iter() if one.attrib.get("class") == style]


def texts(drawing: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(drawing).iter(f"{NAMESPACE}text")]


@pytest.mark.parametrize("layers", [1, 2, 3, 140, 500, 3000])
def test_any_length_can_be_drawn(layers: int) -> None:
    drawing = draw(chain(layers))
    bars = marks(drawing, "other")[1:]  # the first is the legend's
    assert min(layers, 240) <= len(bars) <= 480
    assert len(drawing) < 200_000
    for bar in bars:
        assert 0 <= float(bar["x"]) <= WIDTH
        assert float(bar["x"]) + float(bar["width"]) <= WIDTH
        assert float(bar["height"]) >= 0


def test_the_costliest_layer_has_the_highest_bar() -> None:
    found = inspected(residual_cnn("float32"))
    bars = [
        bar
        for style in ("conv", "depth", "dense", "other")
        for bar in marks(draw(found), style)
        if bar["y"] != "77.0" and bar["height"] != "11"
    ]
    assert len(bars) == len(found.layers)
    highest = max(bars, key=lambda bar: float(bar["height"]))
    dearest = max(range(len(found.layers)), key=lambda at: found.layers[at].effort_share)
    places = sorted(float(bar["x"]) for bar in bars)
    assert places.index(float(highest["x"])) == dearest


def test_stages_cuts_and_what_crosses_are_marked() -> None:
    found = inspected(residual_cnn("float32"))
    drawing = draw(found)
    assert len(marks(drawing, "stage")) == 2 + 3 + 4
    assert len(marks(drawing, "mark")) == 1 + 2 + 3
    assert len(marks(drawing, "legal")) == 1 + len(found.legal_cuts)
    assert {"2 stages", "3 stages", "4 stages"} <= set(texts(drawing))


def test_regions_without_cuts_say_why() -> None:
    region = Uncuttable(first=1, last=1, reason="tensor '<b>' & \"others\" cross")
    found = replace(inspected(tiny_dense()), uncuttable=(region,))
    titles = [one.text for one in ET.fromstring(draw(found)).iter(f"{NAMESPACE}title")]
    assert f"no cut before layer 1: {region.reason}" in titles


def test_hostile_names_stay_text() -> None:
    name = "<script>alert(1)</script>\x1b[31m\u202e" + "x" * 5000
    found = replace(inspected(tiny_dense()), file=name)
    drawing = draw(found)
    assert not [one for one in ET.fromstring(drawing).iter() if one.tag.endswith("script")]
    assert "\x1b" not in drawing
    assert "\u202e" not in drawing
    assert len(drawing) < 20_000


def test_a_model_that_runs_only_whole_says_so() -> None:
    assert "It runs whole only: it has a single layer" in texts(draw(chain(1)))
