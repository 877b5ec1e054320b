"""One model of the status in its various states."""

from dataclasses import replace

import pytest

from mesh.cli.canvas import Canvas
from mesh.cli.model_view import model_parts
from mesh.wire.control import ModelStatus
from mesh.wire.documents import StageState


def render(model: ModelStatus) -> str:
    return Canvas().draw(model_parts(model, {}, Canvas()))


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
    loading = replace(model_status.stages[0], state=StageState.LOADING, resident_bytes=0)
    unknown = replace(model_status.stages[1], state=None)
    text = render(replace(model_status, stages=(loading, unknown), failed=2))
    assert "         –  loading\n" in text
    assert "  unknown\n" in text
    assert "2 failed" in text


def test_stages_that_take_no_time(model_status: ModelStatus) -> None:
    idle = tuple(replace(stage, compute_s=0.0) for stage in model_status.stages)
    assert ".........." in render(replace(model_status, stages=idle))
