"""`mesh model ls`."""

import json
from dataclasses import replace
from typing import Any

from mesh.wire.control import StatusReply


def test_as_text(cli: Any) -> None:
    assert cli.run("model", "ls") == 0
    assert cli.out == (
        "NAME  STATE    STAGES     SIZE  ID        INPUTS → OUTPUTS\n"
        "pose  serving       2  6.1 MiB  90cbd402  fp32[1,8,8,3] → fp32[1,4]\n"
    )


def test_none(cli: Any, status: StatusReply) -> None:
    cli.mesh.statuses[0] = replace(status, models=())
    assert cli.run("model", "ls") == 0
    assert cli.out == "no models yet; add one: mesh model add FILE.tflite\n"
    cli.run("model", "ls", "--json")
    assert json.loads(cli.out) == {"schema_version": 1, "status": "ok", "models": []}


def test_as_json(cli: Any) -> None:
    cli.run("model", "ls", "--json")
    (model,) = json.loads(cli.out)["models"]
    assert (model["name"], model["state"], model["epoch"]) == ("pose", "serving", 3)
