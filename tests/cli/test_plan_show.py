"""A plan is shown as it was asked for."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesh.ids import NodeId
from mesh.planning import PlanNode, Problem
from mesh.planning.problem_file import document_of, problem_of, read_problem
from mesh.wire.planned import PlanReply

PROBLEM = Problem(
    nodes=(PlanNode(node_id=NodeId("a" * 16), layer_s=(0.1,), stage_s=0.0, memory_bytes=9),),
    layer_memory_bytes=(4,),
    boundary_bytes=(1, 1),
    links={},
    gateway=None,
)


def test_the_drawing_is_written(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "plan.svg"
    assert cli.run("plan", "pose", "--svg", str(path)) == 0
    assert path.read_text(encoding="utf-8").startswith("<svg ")
    assert cli.err == f"drawn into {path}\n"
    assert cli.out.startswith("pose ")


def test_the_problem_is_written_and_can_be_read(cli: Any, plan: PlanReply, tmp_path: Path) -> None:
    path = tmp_path / "problem.json"
    cli.mesh.plan = replace(plan, problem=document_of(PROBLEM))
    assert cli.run("plan", "pose", "--dump-problem", str(path)) == 0
    assert problem_of(read_problem(path.read_text(encoding="utf-8"))) == PROBLEM
    assert f"`mesh plan --problem {path}` solves it" in cli.err


def test_programs_get_the_rates_as_well(cli: Any, plan: PlanReply) -> None:
    instant = replace(plan.chosen, bottleneck_s=0.0)
    cli.mesh.plan = replace(plan, front=(instant,))
    assert cli.run("plan", "pose", "--json") == 0
    told = json.loads(cli.out)
    assert told["chosen"]["requests_per_s"] == pytest.approx(81.3, abs=0.01)
    assert [one["requests_per_s"] for one in told["front"]] == [None]


def test_the_front_is_shown_alone_or_behind_the_explanation(cli: Any, plan: PlanReply) -> None:
    cli.mesh.plan = replace(plan, front=(plan.chosen,))
    assert cli.run("plan", "pose", "--pareto") == 0
    assert cli.out.startswith("pose  sooner answers, or more of them\n")
    assert cli.run("plan", "pose", "--pareto", "--explain") == 0
    assert cli.out.index("COMPARED") < cli.out.index("sooner answers, or more of them")


def test_a_file_that_cannot_be_written_is_an_error(cli: Any, tmp_path: Path) -> None:
    assert cli.run("plan", "pose", "--svg", str(tmp_path / "no" / "plan.svg")) == 2
    assert "cannot be written" in cli.err
