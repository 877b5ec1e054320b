"""`mesh plan`."""

import json
from pathlib import Path
from typing import Any

import pytest

from mesh.errors import InfeasibleError
from mesh.ids import NodeId
from mesh.planning.problem import Objective
from mesh.planning.wishes import Wishes
from mesh.wire import codec
from mesh.wire.control import Verb
from mesh.wire.planned import MAX_SUPPOSED, PlanReply, PlanRequest


def test_as_text(cli: Any) -> None:
    assert cli.run("plan", "pose") == 0
    assert cli.out.startswith("pose  139 layers in 2 stages on 2 nodes\n")
    assert "COMPARED" not in cli.out
    assert cli.mesh.asked == [(Verb.PLAN, PlanRequest(name="pose"))]


def test_explained(cli: Any) -> None:
    assert cli.run("plan", "pose", "--explain") == 0
    assert "COMPARED" in cli.out
    assert cli.mesh.asked == [(Verb.PLAN, PlanRequest(name="pose", helps=True))]


def test_as_json(cli: Any, plan: PlanReply) -> None:
    assert cli.run("plan", "pose", "--split", "2", "--json") == 0
    assert codec.from_plain(PlanReply, json.loads(cli.out)) == plan
    request = PlanRequest(name="pose", wishes=Wishes(min_stages=2), helps=True)
    assert cli.mesh.asked == [(Verb.PLAN, request)]


def test_every_supposition_is_asked(cli: Any) -> None:
    words = "--latency-bound 80ms --never zero --objective latency --without pi4-hall --pareto"
    assert cli.run("plan", "pose", *words.split(), "--without", "den") == 0
    wishes = Wishes(latency_bound_s=0.08, never=(NodeId("zero"),), objective=Objective.LATENCY)
    asked = PlanRequest(name="pose", wishes=wishes, without=("pi4-hall", "den"), front=True)
    assert cli.mesh.asked == [(Verb.PLAN, asked)]


def test_the_problem_is_asked_for_where_a_file_is_wanted(cli: Any, tmp_path: Path) -> None:
    assert cli.run("plan", "pose", "--dump-problem", str(tmp_path / "problem.json")) == 0
    assert cli.mesh.asked[0][1].dump_problem


def test_no_plan_is_possible(cli: Any) -> None:
    cli.mesh.plan = InfeasibleError("no node has enough memory")
    assert cli.run("plan", "pose") == 6
    assert cli.err == "mesh: no node has enough memory\n"


@pytest.mark.parametrize(
    "words", [["--must", "a", "--never", "a"], [f"--without=n{i}" for i in range(MAX_SUPPOSED + 1)]]
)
def test_wishes_that_contradict_each_other_are_refused(cli: Any, words: list[str]) -> None:
    assert cli.run("plan", "pose", *words) == 2
    assert cli.mesh.asked == []


def test_boards_are_supposed_as_they_were_written(cli: Any) -> None:
    assert cli.run("plan", "pose", "--add", "pi5:2", "--add", "pi4@8gb") == 0
    assert cli.mesh.asked == [(Verb.PLAN, PlanRequest(name="pose", add=("pi5:2", "pi4@8gb")))]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "which model?"),
        ("pose --problem {file}", "--problem and MODEL exclude each other"),
        ("--problem {file} --devices pi5", "--problem and --devices exclude each other"),
        ("--problem {file} --without a", "--problem and --without exclude each other"),
        ("--problem {file} --link 1gbit", "--problem and --link exclude each other"),
        ("{file} --devices pi5 --add pi4", "--devices and --add exclude each other"),
        ("{file} --devices pi5 --private-prefix 2", "--private-prefix exclude each other"),
        ("pose --link-latency 1ms", "--link-latency says how --devices are linked"),
    ],
)
def test_what_means_nothing_together_is_refused(
    words: str, told: str, cli: Any, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("{}")
    assert cli.run("plan", *words.format(file=file).split()) == 2
    assert told in cli.err
    assert cli.mesh.asked == []


def test_a_file_without_boards_is_refused_with_what_to_say(cli: Any, tmp_path: Path) -> None:
    file = tmp_path / "pose.tflite"
    file.write_bytes(b"")
    assert cli.run("plan", str(file)) == 2
    assert "pose.tflite is a file: say for which boards with --devices" in cli.err
    assert cli.mesh.asked == []
