"""`mesh plan`."""

import json
from typing import Any

from mesh.errors import InfeasibleError
from mesh.wire import codec
from mesh.wire.control import PlanReply, PlanRequest, Verb


def test_as_text(cli: Any) -> None:
    assert cli.run("plan", "pose") == 0
    assert cli.out.startswith("pose  139 layers in 2 stages on 2 nodes\n")
    assert "#####.....  50%" in cli.out
    assert cli.mesh.asked[0] == (Verb.PLAN, PlanRequest(name="pose"))


def test_as_json(cli: Any, plan: PlanReply) -> None:
    assert cli.run("plan", "pose", "--split", "2", "--json") == 0
    assert codec.from_plain(PlanReply, json.loads(cli.out)) == plan
    assert cli.mesh.asked == [(Verb.PLAN, PlanRequest(name="pose", min_stages=2))]


def test_no_plan_is_possible(cli: Any) -> None:
    cli.mesh.plan = InfeasibleError("no node has enough memory")
    assert cli.run("plan", "pose") == 6
    assert cli.err == "mesh: no node has enough memory\n"
