"""Compares slices of a model with the whole, bit for bit, on the interpreter that is installed.

The interpreters run in a process of their own (`exact_worker`), which may crash or hang.
"""

import itertools
import json
import math
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mesh.model import Model, cut_points
from mesh.runtime.control import Package

Way = tuple[int, ...]
"""The layers before which a model is cut; empty for one slice of everything."""

STAGE_COUNTS = range(3, 7)
_MEMORY = Path("/dev/shm")  # noqa: S108 - slices are written many times, each for a moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model file, how it is cut and on what it runs."""

    path: str
    ways: tuple[Way, ...]
    package: Package
    use_xnnpack: bool = True
    steps: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a case; nothing in `problems` means the same bits each way.

    `refusal` is the runtime's, of the whole file: nothing could be compared.
    """

    ways: int
    problems: tuple[str, ...] = ()
    refusal: str = ""

    @property
    def is_exact(self) -> bool:
        return not self.problems and not self.refusal


def every_cut_in_two(model: Model) -> tuple[Way, ...]:
    """The model as one slice, then every legal cut."""
    return ((), *((cut.layer,) for cut in cut_points(model)))


def random_ways(model: Model, count: int, seed: int) -> tuple[Way, ...]:
    """Up to `count` ways to make 3, 4, 5, 6, 3, … stages, each as likely as any other."""
    layers = [cut.layer for cut in cut_points(model)]
    chance = random.Random(seed)  # noqa: S311 - which ways are tried, nothing secret
    ways: dict[Way, None] = {}
    for _, stages in zip(range(count), itertools.cycle(STAGE_COUNTS), strict=False):
        if math.comb(len(layers), stages - 1) > 0:
            ways[tuple(sorted(chance.sample(layers, stages - 1)))] = None
    return tuple(ways)


def some_cuts_in_two(model: Model, count: int, seed: int) -> tuple[Way, ...]:
    """A sample of `every_cut_in_two`; all of them where they are fewer."""
    ways = every_cut_in_two(model)
    chance = random.Random(seed)  # noqa: S311 - as above
    return tuple(sorted(chance.sample(ways, min(count, len(ways)))))


def compare(case: Case, *, timeout_s: float) -> Verdict:
    """Run the case; a worker that dies or hangs is a problem that names the way it was at."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        command = [sys.executable, "-m", "mesh.testing.exact_worker", folder]
        job = json.dumps({**asdict(case), "package": case.package.value})
        try:
            done = subprocess.run(
                command, input=job, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            said = str(error.stdout or b"", "utf-8")
            return _verdict(case, said, f"did not finish within {timeout_s:g} s")
    if done.returncode == 0:
        return _verdict(case, done.stdout, "")
    last = (done.stderr.strip().splitlines() or [""])[-1]
    return _verdict(case, done.stdout, f"ended with {done.returncode}: {last[:300]}")


def _verdict(case: Case, said: str, end: str) -> Verdict:
    lines = [json.loads(line) for line in said.splitlines(keepends=True) if line.endswith("\n")]
    begun = [line["way"] for line in lines if "way" in line]
    problems = [line["problem"] for line in lines if "problem" in line]
    if end:
        at = f"cut before {case.ways[begun[-1]]}" if begun else "whole"
        problems.append(f"{at}: the interpreter's process {end}")
    refusal = next((line["refusal"] for line in lines if "refusal" in line), "")
    return Verdict(ways=len(begun), problems=tuple(problems), refusal=refusal)


def describe(name: str, case: Case, verdict: Verdict) -> str:
    """What went wrong, for people."""
    kernels = "with XNNPACK" if case.use_xnnpack else "without XNNPACK"
    lines: Sequence[str] = [verdict.refusal] if verdict.refusal else verdict.problems
    return "\n".join(f"{Path(name).name}, {case.package.name} {kernels}: {line}" for line in lines)
