import contextlib
import os
from pathlib import Path

import pytest

from mesh.errors import ChildDiedError, MeshError
from mesh.testing.runtime import FakeCall, FakeRuntime, digest_outputs
from tests.fuzz.bases import GENERATED
from tests.fuzz.children import Fate
from tests.fuzz.mutants import Mutant
from tests.fuzz.trial import try_mutant


def _mutant(content: bytes, seed: int = 0) -> Mutant:
    return Mutant(model="dense", seed=seed, kind="none", changes="", content=content)


def test_all_pieces_are_run(tmp_path: Path) -> None:
    runtime = FakeRuntime()

    verdict = try_mutant(_mutant(GENERATED["dense"]()), runtime, tmp_path, pieces=3)

    assert (verdict.fate, verdict.violations, len(runtime.slices)) == (Fate.RAN, (), 3)


def test_a_file_that_the_reader_refuses_goes_no_further(tmp_path: Path) -> None:
    runtime = FakeRuntime()

    verdict = try_mutant(_mutant(b"TFL3"), runtime, tmp_path, pieces=3)

    assert (verdict.fate, runtime.slices) == (Fate.REFUSED_BY_READER, [])
    assert "TFL3" in verdict.said


def test_the_worst_piece_decides(tmp_path: Path) -> None:
    def die_on_halves(call: FakeCall) -> tuple[bytes, ...]:
        if len(call.path.read_bytes()) != len(GENERATED["dense"]()):
            raise ChildDiedError("died of SIGSEGV")
        return digest_outputs(call)

    mutant = _mutant(GENERATED["dense"]())
    verdict = try_mutant(mutant, FakeRuntime(die_on_halves), tmp_path, pieces=3)

    assert verdict.fate is Fate.DIED
    assert verdict.said.endswith("half: died of SIGSEGV")


@pytest.mark.parametrize(("pieces", "fate"), [(0, Fate.READ), (1, Fate.RAN), (2, Fate.RAN)])
def test_fewer_pieces_may_be_tried(pieces: int, fate: Fate, tmp_path: Path) -> None:
    runtime = FakeRuntime()

    verdict = try_mutant(_mutant(GENERATED["dense"]()), runtime, tmp_path, pieces=pieces)

    assert (verdict.fate, len(runtime.slices)) == (fate, pieces)


def test_a_single_piece_is_another_one_from_seed_to_seed(tmp_path: Path) -> None:
    runtime = FakeRuntime()

    for seed in range(20):
        try_mutant(_mutant(GENERATED["dense"](), seed), runtime, tmp_path, pieces=1)

    assert (
        len({str(loaded._call.inputs) + str(loaded._call.outputs) for loaded in runtime.slices})
        == 3
    )


def test_a_leaked_file_descriptor_is_a_violation(tmp_path: Path) -> None:
    opened: list[int] = []

    def leak(call: FakeCall) -> tuple[bytes, ...]:
        opened.append(os.open(call.path, os.O_RDONLY))
        return digest_outputs(call)

    try:
        verdict = try_mutant(_mutant(GENERATED["dense"]()), FakeRuntime(leak), tmp_path, pieces=1)
    finally:
        for descriptor in opened:
            with contextlib.suppress(MeshError):
                os.close(descriptor)

    assert verdict.violations == ("+2 file descriptors are open",)
