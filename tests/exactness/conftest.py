"""Runs the cases of `test_bits` beside each other, as many at once as there are processors."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from mesh.model import read_model
from mesh.runtime.control import Package
from mesh.testing.exactness import Case, Verdict, compare
from tests.exactness.catalogue import model_path, ways_to_cut
from tests.exactness.results import KERNELS, TIMEOUT_S, installed_package

Outcome = tuple[Case, Verdict]
Key = tuple[str, str]


class Suite:
    """Each case under way or done, by model and kernels."""

    def __init__(self, samples: Path, folder: Path, *, is_full: bool) -> None:
        self._samples = samples
        self._folder = folder
        self._is_full = is_full
        self._package = installed_package()
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)
        self._futures: dict[Key, Future[Outcome]] = {}

    def begin(self, name: str, kernels: str) -> None:
        key = (name, kernels)
        if key not in self._futures:
            self._futures[key] = self._pool.submit(self._run, name, kernels)

    def outcome(self, name: str, kernels: str) -> Outcome:
        self.begin(name, kernels)
        return self._futures[name, kernels].result(timeout=TIMEOUT_S)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _run(self, name: str, kernels: str) -> Outcome:
        """All cuts with the default kernels of the default runtime; a sample with the others."""
        folder = self._folder / kernels / name
        folder.mkdir(parents=True)
        path = model_path(name, self._samples, folder)
        is_default = (self._package, kernels) == (Package.LITERT, "xnnpack")
        ways = ways_to_cut(name, read_model(path.read_bytes()), is_full=self._is_full or is_default)
        case = Case(path=str(path), ways=ways, package=self._package, use_xnnpack=KERNELS[kernels])
        return case, compare(case, timeout_s=TIMEOUT_S)


@pytest.fixture(scope="session")
def suite(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Suite]:
    """Begins all cases that were chosen as soon as the first is asked for."""
    started = Suite(
        request.config.getoption("--samples"),
        tmp_path_factory.mktemp("exactness"),
        is_full=request.config.getoption("--exact-all"),
    )
    for item in request.session.items:
        if isinstance(item, pytest.Function) and "suite" in item.fixturenames:
            chosen = item.callspec.params
            started.begin(str(chosen["name"]), str(chosen["kernels"]))
    yield started
    started.close()


@pytest.fixture
def read_sample(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], bytes]:
    """A model's file by its name in the catalogue."""
    samples: Path = request.config.getoption("--samples")
    return lambda name: model_path(name, samples, tmp_path).read_bytes()
