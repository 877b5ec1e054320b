import dataclasses

import pytest

from mesh.wire.infer import InferRequest


def test_requests_are_values() -> None:
    request = InferRequest(inputs=(b"a",))
    assert request == InferRequest(id=None, inputs=(b"a",), outputs=None, timeout_s=None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.id = "1"  # type: ignore[misc]
