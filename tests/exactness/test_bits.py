"""Slices give the bits of the whole, on the runtime of this environment, with and without XNNPACK.

Every cut of every model with LiteRT and XNNPACK, and a sample the same each time with the others;
`--exact-all` runs all cuts everywhere and the models converted by hand as well.
"""

from collections.abc import Callable
from typing import Any

import pytest

from mesh.model import read_model
from mesh.testing.exactness import describe
from tests.exactness.catalogue import (
    entries,
    is_converted,
    is_servable,
    needs_samples,
    ways_to_cut,
)
from tests.exactness.results import KERNELS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kernels" not in metafunc.fixturenames:
        return
    is_full = metafunc.config.getoption("--exact-all")
    chosen = [
        pytest.param(name, marks=[pytest.mark.samples] if needs_samples(name) else [])
        for name in entries(metafunc.config.getoption("--samples"))
        if is_servable(name) and (is_full or not is_converted(name))
    ]
    metafunc.parametrize("name", chosen)
    metafunc.parametrize("kernels", KERNELS)


@pytest.mark.runtime
@pytest.mark.timeout(1200)
def test_slices_give_the_bits_of_the_whole(name: str, kernels: str, suite: Any) -> None:
    case, verdict = suite.outcome(name, kernels)

    assert verdict.is_exact, describe(name, case, verdict)
    assert verdict.ways == len(case.ways) > 1


@pytest.mark.parametrize("name", ["residual_fp16", "transformer"])
def test_a_sample_of_ways_is_small_and_part_of_the_whole(
    name: str, read_sample: Callable[[str], bytes]
) -> None:
    model = read_model(read_sample(name))
    every, few = (ways_to_cut(name, model, is_full=is_full) for is_full in (True, False))

    assert len(few) == 10
    assert {way for way in few if len(way) < 2} <= set(every)
    assert {len(way) for way in every} == {0, 1, 2, 3, 4, 5}
