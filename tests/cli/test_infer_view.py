"""An answer as it looks."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mesh.cli.canvas import Canvas
from mesh.cli.infer_load import Load
from mesh.cli.infer_view import classes_as_json, classes_shown, outputs_as_json, render
from mesh.client import Answer
from mesh.wire.infer import LikelyClass

ONE = Load(
    count=1,
    in_flight=1,
    answered=1,
    failed=0,
    seconds=0.03,
    requests_per_s=33.3,
    p50_s=0.0301,
    p95_s=0.0301,
    slowest_s=0.0301,
    failures=(),
)
LABELS = ("cat", "dog", "emu\x1b", "fox")

WHOLE = """\
scores  float32 [1, 4]
  range   min 0.05  max 0.6  mean 0.25
  values  0.1 0.6 0.25 0.05
  CLASS  VALUE  LABEL
      1    0.6  dog
      2   0.25  emu
      0    0.1  cat
      3   0.05  fox

where the time went
  STAGE  NODE         LAYERS    QUEUE  COMPUTE
      1  pi5-kitchen    0–41  0.50 ms  12.3 ms
      2  pi4-hall     42–138  0.00 ms  6.20 ms
  transfer  7.20 ms  between nodes, and waiting at the gateway
  total     26.2 ms  in the mesh
            30.1 ms  seen from here"""


def test_the_whole(answer: Answer) -> None:
    assert render(answer, ONE, Canvas(), labels=LABELS, top=None) == WHOLE


def test_without_labels_the_largest_are_shown_on_demand(answer: Answer) -> None:
    assert "CLASS" not in render(answer, ONE, Canvas(), labels=(), top=None)
    text = render(answer, ONE, Canvas(), labels=("too", "few"), top=2)
    assert "  CLASS  VALUE\n      1    0.6\n      2   0.25\n" in text


def test_many(answer: Answer) -> None:
    load = replace(ONE, count=200, in_flight=8, failed=3, failures=(("OVERLOADED", 3),))
    text = render(answer, load, Canvas(), labels=(), top=None)
    assert text.endswith(
        "200 requests, 8 under way at once\n"
        "  rate        33.3 requests/s over 0.03 s\n"
        "  answers in  p50 30.1 ms, p95 30.1 ms, slowest 30.1 ms\n"
        "  failed      3 × OVERLOADED"
    )
    assert "seen from here" not in text


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((0, 4)), "x  float64 [0, 4]\n  values  none"),
        (np.array(7, np.int64), "x  int64 []\n  values  7"),
        (np.array([True, False]), "x  bool [2]\n  range   min 0  max 1  mean 0.5\n  values  1 0"),
        (np.array([np.nan, 1.0]), "x  float64 [2]\n  range   min nan  max nan  mean nan"),
        (np.zeros(9, np.uint8), "  values  0 0 0 0 0 0 …"),
    ],
)
def test_all_sorts_of_outputs(array: Any, expected: str) -> None:
    strange = Answer(outputs={"x": array}, timing=None, model_version="1")
    assert expected in render(strange, ONE, Canvas(), labels=(), top=3)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((2, 2)), {}),
        (np.array([True, False]), {}),
        (np.array([3], np.uint8), {}),
        (np.array([[1, 3, 3]], np.uint8), {"x": [(1, 3, None), (2, 3, None)]}),
        (np.array([np.nan, 1.0]), {"x": [(1, 1.0, None)]}),
    ],
)
def test_only_plain_vectors_have_classes(array: Any, expected: Any) -> None:
    strange = Answer(outputs={"x": array}, timing=None, model_version="1")
    assert classes_shown(strange, labels=(), top=2) == expected


@pytest.fixture
def named(answer: Answer) -> Answer:
    """An answer that names the two likeliest of its four classes."""
    value = answer.outputs["scores"][0]
    likely = tuple(
        LikelyClass(index=i, label=label, value=float(value[i]))
        for i, label in ((1, "hund\x1b"), (2, "emu"))
    )
    return replace(answer, classes={"scores": likely})


def test_the_names_of_the_answer_are_shown_unasked(named: Answer) -> None:
    text = render(named, ONE, Canvas(), labels=("too", "few"), top=2)
    expected = "  CLASS  VALUE  LABEL\n      1    0.6  hund\n      2   0.25  emu\n\n"
    assert expected in text
    assert "the answer names" not in text
    assert "  hund\n" in render(named, ONE, Canvas(), labels=(), top=None)


def test_given_labels_go_before_those_of_the_answer(named: Answer) -> None:
    assert render(named, ONE, Canvas(), labels=LABELS, top=None) == WHOLE


def test_more_than_the_answer_names_are_shown_without_names(named: Answer) -> None:
    assert (
        "      2   0.25  emu\n"
        "      0    0.1\n"
        "  the answer names the 2 likeliest: give --labels FILE to name all\n"
    ) in render(named, ONE, Canvas(), labels=(), top=3)


def test_classes_for_programs(named: Answer) -> None:
    shown = classes_shown(named, labels=(), top=3)
    assert [(one["index"], one["label"]) for one in classes_as_json(shown)["scores"]] == [
        (1, "hund\x1b"),
        (2, "emu"),
        (0, None),
    ]
    assert classes_as_json(shown)["scores"][0]["value"] == float(np.float32(0.6))


def test_outputs_for_programs() -> None:
    arrays = {"a": np.ones((1, 2), np.float32), "b": np.array([True]), "c": np.array([1], np.int8)}
    assert outputs_as_json(arrays) == [
        {"name": "a", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 1.0]},
        {"name": "b", "datatype": "BOOL", "shape": [1], "data": [True]},
        {"name": "c", "datatype": "INT8", "shape": [1], "data": [1]},
    ]
