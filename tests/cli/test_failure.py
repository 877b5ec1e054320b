"""An error's sentence, members and status."""

import pytest

from mesh.cli import failure
from mesh.errors import MeshError, OverloadedError


def test_a_known_error() -> None:
    error = OverloadedError("256 requests wait: send later")
    assert failure.line(error) == "mesh: 256 requests wait: send later"
    assert failure.exit_status(error) == 5
    assert failure.members(error)["retryable"] is True


def test_an_error_without_words_still_says_something() -> None:
    assert failure.line(OverloadedError()) == "mesh: failed (OVERLOADED)"


@pytest.mark.parametrize("error", [ValueError("x"), MeshError("x")])
def test_what_has_no_class_is_internal(error: Exception) -> None:
    assert failure.exit_status(error) == 1
    assert failure.members(error)["code"] == "INTERNAL"
