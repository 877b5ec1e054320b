"""What all tests share: patience for property tests, and the sample models."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from mesh.demo.samples import fetch_sample

# Property tests run on busy little machines: an example may take its time.
settings.register_profile("mesh", deadline=None)
settings.load_profile("mesh")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--samples",
        type=Path,
        default=Path(__file__).parents[1] / ".venvs" / "samples",
        help="folder of sample models; what is missing is fetched",
    )
    parser.addoption(
        "--exact-all",
        action="store_true",
        help="tests/exactness: every cut with every runtime and kernels, also of converted models",
    )


@pytest.fixture(scope="session")
def sample_model(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """The path of a sample model, by its name in mesh/demo/samples.toml."""
    folder: Path = request.config.getoption("--samples")
    return lambda name: fetch_sample(name, folder)
