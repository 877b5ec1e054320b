"""The request and the reply of the verb `plan`."""

import pytest

from mesh.errors import RemoteError
from mesh.planning.wishes import Wishes
from mesh.wire import codec
from mesh.wire.planned import MAX_SUPPOSED, PlanRequest


def test_a_request_comes_back_as_it_was() -> None:
    request = PlanRequest(
        name="pose", wishes=Wishes(min_stages=2), without=("a",), add=("pi5", "pi5"), front=True
    )
    assert codec.decode(PlanRequest, codec.encode(request), max_bytes=4096) == request


def test_an_older_client_asks_for_the_models_own_plan() -> None:
    request = codec.decode(PlanRequest, b'{"name": "pose", "min_stages": null}', max_bytes=4096)
    assert request == PlanRequest(name="pose")


@pytest.mark.parametrize("what", ["without", "add"])
def test_suppositions_are_bounded(what: str) -> None:
    request = {"name": "pose", what: ["a"] * (MAX_SUPPOSED + 1)}
    with pytest.raises(RemoteError, match=f"{what} names at most {MAX_SUPPOSED} nodes"):
        codec.from_plain(PlanRequest, request)
