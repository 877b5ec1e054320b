"""One model of the status in its various states."""

from dataclasses import replace
from typing import Any

import pytest

from mesh.cli.canvas import Canvas
from mesh.cli.model_view import model_parts
from mesh.wire.control import ModelStatus, StageLine
from mesh.wire.documents import StageState


def render(model: ModelStatus, width: int = 80) -> str:
    canvas = Canvas(width=width)
    return canvas.draw(model_parts(model, {}, canvas))


def with_replicas(stage: StageLine, *changes: dict[str, Any]) -> StageLine:
    """The stage with its one node changed in so many ways: a replica for each."""
    return replace(stage, replicas=tuple(replace(stage.replicas[0], **one) for one in changes))


@pytest.fixture
def unplanned(model_status: ModelStatus) -> ModelStatus:
    return replace(
        model_status,
        state="no plan yet",
        epoch=None,
        stages=(),
        bottleneck=None,
        bottleneck_s=None,
        latency_s=None,
        single_node_s=None,
        verdict=None,
        held_by=1,
        problem="not planned yet: zero: it is being measured",
    )


def test_a_model_without_a_plan(unplanned: ModelStatus) -> None:
    assert render(unplanned) == (
        "pose  no plan yet · 6.1 MiB, held by 1 node\n"
        "  waiting  not planned yet: zero: it is being measured"
    )


def test_a_problem_that_stays(unplanned: ModelStatus) -> None:
    text = render(replace(unplanned, problem="no node has enough memory"))
    assert text.endswith("\n  problem  no node has enough memory")


def test_one_stage_needs_no_comparison(model_status: ModelStatus) -> None:
    text = render(replace(model_status, stages=model_status.stages[:1]))
    assert "single node" not in text


def test_a_model_that_no_node_could_run_alone(model_status: ModelStatus) -> None:
    text = render(replace(model_status, single_node_s=None))
    assert "  single node  none could run it alone\n" in text


def test_a_quiet_model(model_status: ModelStatus) -> None:
    text = render(replace(model_status, requests_per_s=0.0, p50_s=None, p95_s=None))
    assert "  measured     no requests in the last minute\n" in text
    text = render(replace(model_status, requests_per_s=0.1, p50_s=None, p95_s=None))
    assert "  measured     0.1 requests/s\n" in text


def test_stages_that_are_not_ready(model_status: ModelStatus) -> None:
    first, second = model_status.stages
    loading = with_replicas(first, {"state": StageState.LOADING, "resident_bytes": 0})
    unknown = with_replicas(second, {"state": None})
    text = render(replace(model_status, stages=(loading, unknown), failed=2))
    assert "         –  loading\n" in text
    assert "  unknown\n" in text
    assert "2 failed" in text


def test_stages_that_take_no_time(model_status: ModelStatus) -> None:
    idle = tuple(with_replicas(stage, {"compute_s": 0.0}) for stage in model_status.stages)
    assert ".........." in render(replace(model_status, stages=idle))


@pytest.fixture
def replicated(model_status: ModelStatus) -> ModelStatus:
    first, second = model_status.stages
    shares: list[dict[str, Any]] = [
        {"share": 0.7},
        {"share": 0.3, "node_name": "pi4-attic", "compute_s": 0.0287},
    ]
    return replace(model_status, stages=(with_replicas(first, *shares), second))


def test_replicas_stand_below_each_other_with_their_shares(replicated: ModelStatus) -> None:
    assert render(replicated).splitlines()[1:5] == [
        "  STAGE  NODE         LAYERS  SHARE  COMPUTE   WAY IN  RESIDENT  STATE",
        "      1  pi5-kitchen    0–41    70%  12.3 ms  0.40 ms  31.0 MiB  ready",
        "         pi4-attic              30%  28.7 ms  0.40 ms  31.0 MiB  ready",
        "      2  pi4-hall     42–138         6.20 ms  1.21 ms  31.0 MiB  ready",
    ]
    assert "##########" in render(replicated, width=100)


def test_measured_times_are_shown_where_there_is_room(model_status: ModelStatus) -> None:
    first, second = model_status.stages
    told = with_replicas(first, {"measured_compute_s": 0.0131})
    model = replace(model_status, stages=(told, second))
    assert "MEASURED" not in render(model)
    wide = render(model, width=100).splitlines()
    assert "  MEASURED  " in wide[1]
    assert "  13.1 ms  " in wide[2]
    assert " –  " in wide[3]


def test_a_plan_that_is_not_proven_says_how_much_is_open(model_status: ModelStatus) -> None:
    assert "no plan is better" not in render(replace(model_status, optimal=True, gap=0.0))
    text = render(replace(model_status, optimal=False, gap=0.2))
    assert "               no plan is better by more than 25%\n" in text


def test_why_it_was_planned_anew(model_status: ModelStatus) -> None:
    text = render(replace(model_status, reason="node-2 became 2.9 times slower"))
    assert text.endswith("  epoch 3      node-2 became 2.9 times slower")
