import numpy as np
import pytest

from mesh.demo.answers import Answer, Box, Landmarks, Score, Share, describe
from mesh.model.tensor import DataType
from mesh.wire.infer import OutputTensor


def output(*values: float, name: str = "y") -> OutputTensor:
    data = np.array(values, "<f4").tobytes()
    return OutputTensor(name=name, data_type=DataType.FP32, shape=(1, len(values)), data=data)


def test_scores_are_shares_of_a_hundred() -> None:
    assert describe([Score(output=0, says="a cat")], [output(0.903)]) == ["a cat: 90%"]
    assert describe([Score(output=0, says="a cat", squash=True)], [output(0)]) == ["a cat: 50%"]


@pytest.mark.parametrize("logit", [-1e30, 1e30])
def test_huge_logits_are_no_trouble(logit: float) -> None:
    expected = "0%" if logit < 0 else "100%"
    assert describe([Score(output=0, says="x", squash=True)], [output(logit)]) == [f"x: {expected}"]


def test_a_low_score_ends_the_answer() -> None:
    answers: list[Answer] = [
        Score(output=0, says="a cat", least=0.5),
        Share(output=0, threshold=0, says="is fur"),
    ]
    assert describe(answers, [output(0.4)]) == ["a cat: 40%"]
    assert describe(answers, [output(0.6)]) == ["a cat: 60%", "100% is fur"]


def test_landmarks_are_named_and_placed() -> None:
    marks = Landmarks(
        output=0, values_per_point=3, input_px=200, points={"nose": 1, "ear": 0}, visibility_at=2
    )
    assert describe([marks], [output(1, 2, -9, 100, 50, 9)]) == [
        "nose: 50% from the left, 25% from the top",
        "ear: not in sight",
    ]


def test_the_best_box_lies_at_its_anchor() -> None:
    box = Box(
        boxes=0, scores=1, says="a cat", input_px=100, grids=[[2, 1], [1, 2]], least_score=0.5
    )
    rows = [[0.0] * 4 for _ in range(6)]
    rows[3] = [5, -5, 20, 30]
    flat = output(*(value for row in rows for value in row))
    assert describe([box], [flat, output(0, 0, 0, 4, 0, 0)]) == [
        "a cat: 80% from the left, 70% from the top, 20% wide and 30% high (score 98%)"
    ]
    assert "50% from the left" in describe([box], [flat, output(0, 0, 0, 0, 0, 4)])[0]
    assert describe([box], [flat, output(-4, -4, -4, -4, -4, -4)]) == [
        "a cat: none found (best score 2%)"
    ]


def test_without_answers_ranges_are_told() -> None:
    assert describe([], [output(1, -2, name="a"), output(name="b")]) == [
        "a FP32 [1, 2]: -2 to 1",
        "b FP32 [1, 0]: empty",
    ]


@pytest.mark.parametrize(
    "answer",
    [
        Score(output=3, says="x"),
        Landmarks(output=0, values_per_point=3, input_px=1, points={"x": 9}),
        Landmarks(output=0, values_per_point=2, input_px=1, points={"x": 0}),
        Box(boxes=0, scores=0, says="x", input_px=1, grids=[], least_score=0),
    ],
)
def test_outputs_that_do_not_fit_fall_back_to_ranges(answer: Score | Landmarks | Box) -> None:
    assert describe([answer], [output(1, 2, 3)]) == ["y FP32 [1, 3]: 1 to 3"]
