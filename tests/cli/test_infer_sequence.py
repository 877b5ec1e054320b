from pathlib import Path

import numpy as np
import pytest

from mesh.cli.infer_request import Arrays
from mesh.cli.infer_sequence import split_steps
from mesh.errors import UsageError

PATH = Path("steps.npz")


def test_the_first_axis_is_the_steps() -> None:
    x, n = np.arange(6).reshape(3, 2), np.array([7, 8, 9])
    steps = split_steps({"x": x, "n": n}, PATH)
    assert [step["x"].tolist() for step in steps] == [[0, 1], [2, 3], [4, 5]]
    assert [int(step["n"]) for step in steps] == [7, 8, 9]


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"x": np.zeros((0, 2))},
        {"x": np.float32(1)},
        {"x": np.zeros((3, 2)), "y": np.zeros((2, 2))},
    ],
)
def test_what_is_no_sequence_is_refused(arrays: Arrays) -> None:
    with pytest.raises(UsageError, match="is no sequence"):
        split_steps(arrays, PATH)
