"""`mesh model rm`."""

import json
from typing import Any

from mesh.wire.control import RemoveModelRequest, Verb


def test_as_text(cli: Any) -> None:
    assert cli.run("model", "rm", "pose") == 0
    assert cli.out == "removed pose\n"
    assert cli.mesh.asked == [(Verb.MODEL_REMOVE, RemoveModelRequest(name="pose"))]
    assert cli.mesh.is_closed


def test_as_json(cli: Any) -> None:
    assert cli.run("model", "rm", "pose", "--json") == 0
    assert json.loads(cli.out) == {"schema_version": 1, "status": "ok", "name": "pose"}
