"""Says in words what a model's outputs mean, as its sample's data describes them. Pure.

Nothing here knows a model: which output holds what, how points are named and where anchors lie
comes from `samples.toml`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mesh.wire.infer import OutputTensor

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One number between 0 and 1, or a logit (`squash`); below `least` the rest means nothing."""

    output: int
    says: str
    squash: bool = False
    least: float = 0.0

    def value(self, outputs: Sequence[OutputTensor]) -> float:
        value = float(_values(outputs, self.output)[0])
        return _sigmoid(value) if self.squash else value

    def lines(self, outputs: Sequence[OutputTensor]) -> list[str]:
        return [f"{self.says}: {self.value(outputs):.0%}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks:
    """Points as rows of `values_per_point` numbers, x and y first, in pixels of a square input.

    `visibility_at` is the column with the logit of being in sight.
    """

    output: int
    values_per_point: int
    input_px: int
    points: Mapping[str, int]
    visibility_at: int | None = None

    def lines(self, outputs: Sequence[OutputTensor]) -> list[str]:
        rows = _values(outputs, self.output).reshape(-1, self.values_per_point)
        return [f"{name}: {self._place(rows[index])}" for name, index in self.points.items()]

    def _place(self, row: Floats) -> str:
        if self.visibility_at is not None and _sigmoid(float(row[self.visibility_at])) < 0.5:
            return "not in sight"
        return _place(float(row[0]) / self.input_px, float(row[1]) / self.input_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The best of many boxes, each relative to an anchor: the middle of a cell of one of the grids.

    `grids` are (cells per side, anchors per cell), in the order of the rows. As in MediaPipe's
    TensorsToDetectionsCalculator with fixed anchor size and all scales equal to the input's pixels.
    """

    boxes: int
    scores: int
    says: str
    input_px: int
    grids: Sequence[Sequence[int]]
    least_score: float

    def lines(self, outputs: Sequence[OutputTensor]) -> list[str]:
        scores = _values(outputs, self.scores)
        best = int(scores.argmax())
        score = _sigmoid(float(scores[best]))
        if score < self.least_score:
            return [f"{self.says}: none found (best score {score:.0%})"]
        row = _values(outputs, self.boxes).reshape(len(scores), -1)[best] / self.input_px
        anchor_x, anchor_y = self._anchor(best)
        place = _place(anchor_x + float(row[0]), anchor_y + float(row[1]))
        size = f"{float(row[2]):.0%} wide and {float(row[3]):.0%} high"
        return [f"{self.says}: {place}, {size} (score {score:.0%})"]

    def _anchor(self, index: int) -> tuple[float, float]:
        for cells, anchors_per_cell in self.grids:
            if index < cells * cells * anchors_per_cell:
                row, column = divmod(index // anchors_per_cell, cells)
                return (column + 0.5) / cells, (row + 0.5) / cells
            index -= cells * cells * anchors_per_cell
        raise ValueError("there are more boxes than anchors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many of an output's values lie above a threshold."""

    output: int
    threshold: float
    says: str

    def lines(self, outputs: Sequence[OutputTensor]) -> list[str]:
        share = float((_values(outputs, self.output) > self.threshold).mean())
        return [f"{share:.0%} {self.says}"]


Answer = Score | Landmarks | Box | Share
KINDS: Mapping[str, type[Answer]] = {
    "score": Score,
    "landmarks": Landmarks,
    "box": Box,
    "share": Share,
}


def describe(answers: Sequence[Answer], outputs: Sequence[OutputTensor]) -> list[str]:
    """Lines for people. `outputs` are all of the model's, in its order.

    Without answers, or with outputs that don't fit them, each output's shape and range.
    """
    try:
        lines = _answered(answers, outputs)
    except (IndexError, ValueError):
        lines = []
    return lines or [_range(output, _values(outputs, i)) for i, output in enumerate(outputs)]


def _answered(answers: Sequence[Answer], outputs: Sequence[OutputTensor]) -> list[str]:
    lines: list[str] = []
    for answer in answers:
        lines += answer.lines(outputs)
        if isinstance(answer, Score) and answer.value(outputs) < answer.least:
            break
    return lines


def _range(output: OutputTensor, values: Floats) -> str:
    span = f"{values.min():.4g} to {values.max():.4g}" if values.size else "empty"
    return f"{output.name} {output.data_type.value} {list(output.shape)}: {span}"


def _values(outputs: Sequence[OutputTensor], index: int) -> Floats:
    output = outputs[index]
    return np.frombuffer(output.data, output.data_type.numpy_name).astype(np.float64)


def _place(x: float, y: float) -> str:
    return f"{x:.0%} from the left, {y:.0%} from the top"


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, logit))))
