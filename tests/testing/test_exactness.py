import sys
from pathlib import Path

import pytest

from mesh.model import read_model
from mesh.model.table import make_table
from mesh.runtime.control import Package
from mesh.testing.exactness import (
    Case,
    Verdict,
    compare,
    describe,
    every_cut_in_two,
    random_ways,
    some_cuts_in_two,
)
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense

MODEL = read_model(residual_cnn("float32"))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    path = tmp_path / "dense.tflite"
    path.write_bytes(tiny_dense())
    return Case(path=str(path), ways=((), (1,), (1, 2)), package=Package.LITERT)


def test_every_cut_in_two_begins_with_no_cut() -> None:
    assert every_cut_in_two(MODEL) == ((), *((layer,) for layer in range(1, 15)))


def test_random_ways_make_three_to_six_stages() -> None:
    ways = random_ways(MODEL, 12, 1)

    assert {len(way) for way in ways} == {2, 3, 4, 5}
    assert len(set(ways)) == len(ways) >= 11
    assert all(sorted(way) == list(way) for way in ways)
    assert random_ways(MODEL, 12, 1) == ways != random_ways(MODEL, 12, 2)


def test_few_cuts_are_used_as_far_as_they_go() -> None:
    small = read_model(tiny_dense())

    assert random_ways(small, 8, 1) == ((1, 2),)
    assert set(some_cuts_in_two(small, 8, 1)) == {(), (1,), (2,)}
    assert len(some_cuts_in_two(MODEL, 8, 1)) == 8


def test_slices_that_give_the_same_bits_are_exact(case: Case) -> None:
    assert compare(case, timeout_s=60) == Verdict(ways=3)


def test_what_the_runtime_refuses_is_said(case: Case) -> None:
    builder = ModelBuilder()
    x, y = builder.tensor("x", (1, 2)), builder.tensor("y", (1, 2))
    builder.operator("ADD", [x, x], [y], make_table("AddOptions"), version=99)
    Path(case.path).write_bytes(builder.build({"x": x}, {"y": y}))

    verdict = compare(case, timeout_s=60)

    assert "'99'" in verdict.refusal
    assert verdict.ways == 0
    assert not verdict.is_exact


def _worker(folder: Path, script: str) -> str:
    """A program in the worker's place."""
    path = folder / "worker"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_a_worker_that_dies_is_a_problem_at_the_way_it_was_at(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = _worker(
        tmp_path, """echo '{"way": 0}'; echo '{"way": 1}'; echo oh >&2; kill -SEGV $$"""
    )
    monkeypatch.setattr(sys, "executable", program)

    verdict = compare(case, timeout_s=60)

    assert verdict.problems == ("cut before (1,): the interpreter's process ended with -11: oh",)
    assert not verdict.is_exact


def test_a_worker_that_hangs_is_ended_and_a_problem(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = _worker(tmp_path, """echo '{"way": 0}'; printf '{"way"'; exec cat /dev/zero""")
    monkeypatch.setattr(sys, "executable", program)

    verdict = compare(case, timeout_s=0.5)

    assert verdict.problems[-1].endswith("the interpreter's process did not finish within 0.5 s")


def test_problems_are_described_with_model_and_kernels(case: Case) -> None:
    verdict = Verdict(ways=1, problems=("cut before (1,): step 0: output 'y' differs",))
    assert describe("dense", case, verdict) == (
        "dense, LITERT with XNNPACK: cut before (1,): step 0: output 'y' differs"
    )
    assert "refused" in describe("dense", case, Verdict(ways=0, refusal="refused"))
