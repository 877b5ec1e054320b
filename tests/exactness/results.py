"""What the suite found out about each model, as a value that can be kept in a file."""

import json
import tempfile
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mesh.errors import ModelError
from mesh.model import Model, cut_points, read_model
from mesh.runtime.control import Package
from mesh.runtime.detect import choose_package, installed_version
from mesh.testing.exactness import Case, Verdict, compare
from tests.exactness.catalogue import entries, model_path, ways_to_cut

KERNELS: Mapping[str, bool] = {"xnnpack": True, "plain": False}
"""The two ways of running, by whether XNNPACK is used."""
TIMEOUT_S = 7200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What reading the file says, without running it; `refusal` is the reader's."""

    layers: int = 0
    cuts: int = 0
    least_live_bytes: int = 0
    most_live_bytes: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A model's facts, and its verdicts by the names in `KERNELS`."""

    facts: Facts
    verdicts: Mapping[str, Verdict]


def installed_package() -> Package:
    """The interpreter of this environment."""
    return choose_package("auto", installed_version)


def read_facts(path: Path) -> Facts:
    try:
        model = read_model(path.read_bytes())
    except ModelError as error:
        return Facts(refusal=str(error))
    return facts_of(model)


def facts_of(model: Model) -> Facts:
    live_bytes = [cut.live_bytes for cut in cut_points(model)]
    return Facts(
        layers=len(model.layers),
        cuts=len(live_bytes),
        least_live_bytes=min(live_bytes, default=0),
        most_live_bytes=max(live_bytes, default=0),
    )


def run_all(
    names: Collection[str], samples_folder: Path, package: Package, *, is_full: bool, at_once: int
) -> Iterator[tuple[str, Outcome]]:
    """Each model with its outcome, as they come; `at_once` interpreter processes run."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(at_once) as pool:

        def run(name: str) -> tuple[str, Outcome]:
            path = model_path(name, samples_folder, Path(folder))
            return name, run_one(name, path, package, is_full=is_full)

        yield from pool.map(run, [name for name in entries(samples_folder) if name in names])


def run_one(name: str, path: Path, package: Package, *, is_full: bool) -> Outcome:
    facts = read_facts(path)
    if facts.refusal:
        return Outcome(facts=facts, verdicts={})
    ways = ways_to_cut(name, read_model(path.read_bytes()), is_full=is_full)
    verdicts = {
        kernels: compare(
            Case(path=str(path), ways=ways, package=package, use_xnnpack=use_xnnpack),
            timeout_s=TIMEOUT_S,
        )
        for kernels, use_xnnpack in KERNELS.items()
    }
    return Outcome(facts=facts, verdicts=verdicts)


def save(path: Path, runtime: str, outcomes: Mapping[str, Outcome]) -> None:
    document = {"runtime": runtime, "models": {n: asdict(each) for n, each in outcomes.items()}}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")


def load(path: Path) -> tuple[str, dict[str, Outcome]]:
    """The runtime's name and version, and the outcomes by model."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return document["runtime"], {
        name: Outcome(
            facts=Facts(**fields["facts"]),
            verdicts={kernels: _verdict(one) for kernels, one in fields["verdicts"].items()},
        )
        for name, fields in document["models"].items()
    }


def _verdict(fields: dict[str, Any]) -> Verdict:
    return Verdict(**{**fields, "problems": tuple(fields["problems"])})
