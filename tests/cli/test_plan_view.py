"""A plan as it looks in 80 columns."""

from dataclasses import replace

import pytest

from mesh.cli.canvas import Canvas
from mesh.cli.plan_view import render, rooms
from mesh.wire.control import LeftOut, PlanReply, StatusReply

WHOLE = """\
pose  139 layers in 2 stages on 2 nodes
  STAGE  NODE         LAYERS  COMPUTE   WAY IN     MEMORY  OF FREE
      1  pi5-kitchen    0–41  12.3 ms  0.40 ms  1,600 MiB  #####.....  50%
      2  pi4-hall     42–138  6.20 ms  0.40 ms  1,600 MiB  #####.....  50%
  bottleneck  compute: pi5-kitchen, 12.3 ms
  predicted   81.3 requests/s, answers in 25.1 ms
  live        epoch 3, measured 79.4 requests/s in the last minute, 98% of what
              is predicted

  * chosen          NODES             REQUESTS/S  ANSWERS IN  BOTTLENECK
  best single node  pi5-kitchen             42.9     23.3 ms  compute:
                                                              pi5-kitchen
  best pipeline *   pi5-kitchen →           81.3     25.1 ms  compute:
                    pi4-hall                                  pi5-kitchen

  left out
    zero  has not enough memory

A 2-stage pipeline gives 81.3 requests/s, 1.9× the best single node."""


def test_the_whole(plan: PlanReply, status: StatusReply) -> None:
    assert render(plan, rooms(status), Canvas()) == WHOLE


def test_a_node_that_cannot_run_every_layer_is_told_with_the_reason(plan: PlanReply) -> None:
    lacks = "tflite 2.14.0 lacks GATHER_ND version 5 (layers 42–50)"
    limited = LeftOut(node_id=plan.chosen.stages[0].node_id, node_name="pi4-hall", reason=lacks)
    text = render(replace(plan, limited=(limited,)), {}, Canvas())
    assert f"  cannot run every layer\n    pi4-hall  {lacks}\n" in text
    assert "cannot run" not in render(plan, {}, Canvas())


def test_a_chosen_plan_that_is_neither_has_a_line_of_its_own(plan: PlanReply) -> None:
    text = render(replace(plan, alternatives=plan.alternatives[:1]), {}, Canvas())
    assert "  chosen *          pi5-kitchen →" in text


def test_without_rooms_there_are_no_bars(plan: PlanReply) -> None:
    assert "1,600 MiB  –\n" in render(plan, {}, Canvas())


@pytest.mark.parametrize(
    ("epoch", "measured", "text"),
    [
        (None, None, "live        not yet: no plan serves this model"),
        (3, None, "live        epoch 3; no requests at this node in the last minute"),
    ],
)
def test_live(epoch: int | None, measured: float | None, text: str, plan: PlanReply) -> None:
    changed = replace(plan, live_epoch=epoch, measured_requests_per_s=measured, left_out=())
    found = render(changed, {}, Canvas())
    assert text in found
    assert "left out" not in found


def test_too_little_memory_is_a_full_bar(plan: PlanReply) -> None:
    room_bytes = dict.fromkeys((part.node_id for part in plan.chosen.stages), 1 << 20)
    assert "########## 160000%" in render(plan, room_bytes, Canvas())


@pytest.mark.parametrize("width", [60, 80, 120])
def test_long_pipelines_fit(width: int, plan: PlanReply) -> None:
    parts = tuple(
        replace(part, node_name=f"a-rather-long-name-of-a-node-{i}")
        for i, part in enumerate(plan.chosen.stages * 6)
    )
    chosen = replace(plan.chosen, stages=parts)
    text = render(replace(plan, chosen=chosen), {}, Canvas(width=width))
    assert max(map(len, text.splitlines())) <= width
