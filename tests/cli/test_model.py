"""`mesh model` hands on to its commands."""

import json
from typing import Any


def test_each_command_is_reached(cli: Any) -> None:
    assert cli.run("model", "ls") == 0
    assert cli.out.startswith("NAME  STATE")
    assert cli.run("model", "rm", "pose") == 0
    assert cli.run("model", "add", "/no/such/file") == 2


def test_what_there_is(cli: Any) -> None:
    assert cli.run("model", "mv", "--json") == 2
    assert "choose from" in json.loads(cli.out)["error"]
