"""`mesh plan --problem FILE`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesh.ids import ModelId, NodeId
from mesh.planning import PlanLink, PlanNode, Problem, solve
from mesh.planning.problem_file import ModelNote, document_of, write_problem

DATA = Path(__file__).parents[1] / "planning" / "data"
KEYS = ["feasible", "bottleneck_s", "latency_s", "optimal", "gap", "schedule"]
TWO_NODES = Problem(
    nodes=tuple(
        PlanNode(
            node_id=NodeId(one), name=name, layer_s=(0.1, 0.1, 0.1), stage_s=0.0, memory_bytes=100
        )
        for one, name in (("a", "kitchen"), ("b", "hall"))
    ),
    layer_memory_bytes=(10.0, 10.0, 10.0),
    boundary_bytes=(1000, 1000, 1000, 1000),
    links={
        (NodeId(one), NodeId(other)): PlanLink(goodput_bytes_per_s=1e6, message_s=1e-4)
        for one in ("a", "b", "g")
        for other in ("a", "b", "g")
        if one != other
    },
    gateway=NodeId("g"),
)


def checked_cost(case: Any, schedule: list[Any]) -> tuple[float, float]:
    """Bottleneck and latency by the published rules alone, from the two JSON texts."""
    model, element = case["model"], case["bytes_per_element"] * case["batch_size"]
    types = {
        host: case["device_types"][kind] for kind, all_ in case["devices"].items() for host in all_
    }
    parts: list[float] = []
    covered: list[int] = []
    for stage, after in zip(schedule, [*schedule[1:], None], strict=True):
        first, last, it = stage["first_layer"], stage["last_layer"], types[stage["device"]]
        covered += range(first, last + 1)
        parts.append(sum(it["time_s"][first - 1 : last]))
        if after is not None:
            mbps = min(it["bw_Mbps"], types[after["device"]]["bw_Mbps"])
            parts.append(element * model["parameters_out"][last - 1] / (mbps * 1048576 / 8))
    assert covered == list(range(1, model["layers"] + 1))
    assert len({stage["device"] for stage in schedule}) == len(schedule)
    return max(parts), sum(parts)


@pytest.mark.parametrize("name", ["published-vit-base", "published-vit-large"])
@pytest.mark.parametrize("objective", ["throughput", "latency"])
def test_a_published_case_comes_out_at_its_optimum(cli: Any, name: str, objective: str) -> None:
    path = DATA / f"{name}.json"
    case = json.loads(path.read_text(encoding="utf-8"))
    assert cli.run("plan", "--problem", str(path), "--objective", objective, "--json") == 0
    answer = json.loads(cli.out)
    assert list(answer) == KEYS
    assert (answer["feasible"], answer["optimal"], answer["gap"]) == (True, True, 0)
    assert {tuple(stage) for stage in answer["schedule"]} == {
        ("device", "first_layer", "last_layer")
    }
    period_s, latency_s = checked_cost(case, answer["schedule"])
    assert answer["bottleneck_s"] == pytest.approx(period_s, rel=1e-9)
    assert answer["latency_s"] == pytest.approx(latency_s, rel=1e-9)
    if objective == "throughput":
        assert period_s == pytest.approx(case["expected"]["min_bottleneck_s"], rel=1e-9)
    else:
        assert latency_s == pytest.approx(case["expected"]["min_latency_s"], rel=1e-9)
    assert cli.mesh.asked == []


def test_a_published_case_as_text(cli: Any) -> None:
    assert cli.run("plan", "--problem", str(DATA / "published-vit-base.json")) == 0
    assert cli.out.startswith("published-vit-base  48 layers in ")
    assert "proven optimal" in cli.out


def test_a_case_without_a_plan(cli: Any, tmp_path: Path) -> None:
    case = json.loads((DATA / "published-vit-base.json").read_text(encoding="utf-8"))
    case["model"]["mem_MB"] = [1e6] * 48
    path = tmp_path / "case.json"
    path.write_text(json.dumps(case), encoding="utf-8")
    assert cli.run("plan", "--problem", str(path), "--json") == 6
    answer = json.loads(cli.out)
    assert list(answer) == KEYS
    assert answer["feasible"] is False
    assert (answer["bottleneck_s"], answer["latency_s"], answer["schedule"]) == (None, None, [])
    assert cli.err.startswith("mesh: ")
    assert cli.run("plan", "--problem", str(path)) == 6


def written(folder: Path, problem: Problem, *, model: ModelNote | None = None) -> str:
    path = folder / "problem.json"
    path.write_text(write_problem(document_of(problem, model=model)), encoding="utf-8")
    return str(path)


def test_a_dumped_problem_gives_the_same_plan(cli: Any, tmp_path: Path) -> None:
    solution = solve(TWO_NODES)
    assert cli.run("plan", "--problem", written(tmp_path, TWO_NODES), "--json") == 0
    answer = json.loads(cli.out)
    assert answer["bottleneck_s"] == solution.bottleneck_s
    assert answer["latency_s"] == solution.latency_s
    assert [
        [(one["device"], one["share"]) for one in stage["replicas"]] for stage in answer["schedule"]
    ] == [[(one.node_id, one.share) for one in stage.replicas] for stage in solution.stages]
    assert answer["schedule"][0]["first_layer"] == 1
    assert answer["schedule"][-1]["last_layer"] == 3


def test_a_dumped_problem_as_text_has_names_and_operators(cli: Any, tmp_path: Path) -> None:
    note = ModelNote(name="pose", model_id=ModelId("0" * 64), boundaries=(0, 4, 8, 20))
    path = written(tmp_path, TWO_NODES, model=note)
    assert cli.run("plan", "--problem", path, "--replicas", "1", "--split", "2", "--explain") == 0
    assert cli.out.startswith("pose  20 layers in 2 stages on 2 nodes")
    assert "kitchen" in cli.out
    assert "COMPARED" in cli.out


def test_wishes_override_the_file(cli: Any, tmp_path: Path) -> None:
    path = written(tmp_path, TWO_NODES)
    assert cli.run("plan", "--problem", path, "--never", "hall", "--json") == 0
    answer = json.loads(cli.out)
    assert [stage["device"] for stage in answer["schedule"]] == ["a"]
    assert cli.run("plan", "--problem", path, "--latency-bound", "1ms", "--json") == 6


def test_it_can_be_dumped_again(cli: Any, tmp_path: Path) -> None:
    path, copy = written(tmp_path, TWO_NODES), tmp_path / "copy.json"
    assert cli.run("plan", "--problem", path, "--dump-problem", str(copy)) == 0
    assert (
        json.loads(copy.read_text(encoding="utf-8"))["nodes"]
        == json.loads(Path(path).read_text(encoding="utf-8"))["nodes"]
    )
    assert cli.run("plan", "--problem", path, "--json", "--dump-problem", str(copy)) == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the problem file is not JSON"),
        (b"[]", "the problem file must be one JSON object"),
        (b"{}", 'must say "format": "edge-mesh-problem/1" or "pipeline-planner-case/1"'),
        (b'{"format": []}', 'must say "format"'),
        (b'{"format": "pipeline-planner-case/1"}', "the problem file's model must be an object"),
        (b'{"format": "edge-mesh-problem/1"}', 'lacks the key "layer_memory_bytes"'),
    ],
)
def test_a_file_that_is_no_problem(cli: Any, tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "problem.json"
    path.write_bytes(content)
    assert cli.run("plan", "--problem", str(path)) == 2
    assert sentence in cli.err
    assert cli.err.count("\n") == 1


def test_no_file(cli: Any, tmp_path: Path) -> None:
    assert cli.run("plan", "--problem", str(tmp_path / "none.json")) == 2
    assert "there is no file" in cli.err


def test_private_layers_of_the_file_hold(cli: Any, tmp_path: Path) -> None:
    private = replace(
        TWO_NODES, private_layers=1, private_nodes=frozenset({NodeId("b")}), max_replicas=1
    )
    assert cli.run("plan", "--problem", written(tmp_path, private), "--json") == 0
    assert json.loads(cli.out)["schedule"][0]["device"] == "b"


@pytest.mark.parametrize("option", ["--explain", "--pareto"])
def test_what_the_answer_for_programs_has_no_place_for_is_refused(
    option: str, cli: Any, tmp_path: Path
) -> None:
    path = written(tmp_path, TWO_NODES)
    assert cli.run("plan", "--problem", path, "--json", option) == 2
    assert "--problem with --json tells the best plan only" in cli.out
    assert cli.run("plan", "--problem", path, option) == 0
