from pathlib import Path
from random import Random

import numpy as np
import pytest

from mesh.model import read_model
from mesh.runtime.control import Package
from mesh.testing.evaluator import evaluate
from mesh.testing.exact_worker import Interpreters
from mesh.testing.models import tiny_dense
from mesh.testing.plausible import plausible_inputs
from mesh.testing.random_graphs import random_graph


@pytest.mark.parametrize("seed", range(30))
def test_it_computes_what_the_interpreter_does(seed: int, tmp_path: Path) -> None:
    file = random_graph(Random(seed))
    model = read_model(file)
    inputs = plausible_inputs(model, 1)

    run = Interpreters(tmp_path, Package.LITERT.value, use_xnnpack=False).load([file])

    for mine, theirs in zip(evaluate(model, inputs), run(inputs), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


def test_an_operator_that_it_does_not_know_is_an_error() -> None:
    model = read_model(tiny_dense())
    with pytest.raises(KeyError, match="SOFTMAX"):
        evaluate(model, plausible_inputs(model, 1))
