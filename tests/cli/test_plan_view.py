"""A plan as it looks in 80 columns."""

from dataclasses import replace

import pytest

from mesh.cli.canvas import Canvas
from mesh.cli.plan_view import render, render_explained, render_front
from mesh.wire.planned import LeftOut, LivePlan, PlanReply

SHORT = """\
pose  139 layers in 2 stages on 2 nodes
   #  LAYERS  NODE          COMPUTE   WAY IN     MEMORY  OF ROOM
>  1    0–41  pi5-kitchen   12.3 ms  0.40 ms  1,600 MiB  ####....  50%
   2  42–138  pi4-hall      6.20 ms  0.40 ms  1,600 MiB  ####....  50%
       reply  to pi3-attic           0.40 ms
   bottleneck  compute on pi5-kitchen: one request every 12.3 ms
   predicted   81.3 requests/s, answers in 19.7 ms; proven optimal
   live        epoch 3; 79.4 requests/s now
   left out    zero; --explain says why

A 2-stage pipeline gives 81.3 requests/s, 1.9× the best single node."""

EXPLAINED = """\
pose  139 layers in 2 stages on 2 nodes
   #  LAYERS  NODE                 COMPUTE          WAY IN          MEMORY
>  1    0–41  pi5-kitchen     12.3 ms 100%    0.40 ms   3%  1,600 MiB  50%
                            ##############  #.............  #######.......
   2  42–138  pi4-hall        6.20 ms  50%    0.40 ms   3%  1,600 MiB  50%
                            #######.......  #.............  #######.......
       reply  to pi3-attic                    0.40 ms   3%
                                            #.............
   bars: how busy each is at 81.3 requests/s, and how much of the memory that a
   node may give

   bottleneck  compute on pi5-kitchen: one request every 12.3 ms
   predicted   81.3 requests/s, answers in 19.7 ms; proven optimal
   live        epoch 3; 79.4 requests/s now

   COMPARED          REQUESTS/S                ANSWERS IN  PROOF
   best single node        42.9  ######......     24.1 ms  optimal
     pi5-kitchen; limited by compute on pi5-kitchen
 * best pipeline           81.3  ############     19.7 ms  optimal
     pi5-kitchen → pi4-hall; limited by compute on pi5-kitchen
   best replicas           none
     pi4-hall lacks 80 MiB

   WHAT WOULD HELP MOST  REQUESTS/S         ANSWERS IN
   a faster pi5                 130  ×1.60     16.2 ms

   PREDICTED AGAINST MEASURED        PREDICTED  MEASURED
   requests/s, as many as are asked       81.3      79.4  98%
   answers in, waiting included        19.7 ms   25.1 ms  127%

   left out
     zero  has not enough memory

A 2-stage pipeline gives 81.3 requests/s, 1.9× the best single node."""


def test_in_short(plan: PlanReply) -> None:
    assert render(plan, Canvas()) == SHORT


def test_explained(plan: PlanReply) -> None:
    assert render_explained(plan, Canvas()) == EXPLAINED


def test_a_node_that_cannot_run_every_layer_is_told_with_the_reason(plan: PlanReply) -> None:
    lacks = "tflite 2.14.0 lacks GATHER_ND version 5 (layers 42–50)"
    node = plan.chosen.stages[0].replicas[0]
    limited = LeftOut(node_id=node.node_id, node_name="pi4-hall", reason=lacks)
    text = render_explained(replace(plan, limited=(limited,)), Canvas())
    assert f"   cannot run every layer\n     pi4-hall  {lacks}\n" in text
    assert "cannot run" not in render_explained(plan, Canvas())


@pytest.mark.parametrize(
    ("live", "text"),
    [
        (None, "live        not yet: no plan serves this model"),
        (LivePlan(epoch=3), "live        epoch 3; no requests in the last seconds"),
        (
            LivePlan(epoch=3, reason="pi4 became 2.9 times slower", requests_per_s=4.0),
            "live        epoch 3 (pi4 became 2.9 times slower); 4 requests/s now",
        ),
    ],
)
def test_live(live: LivePlan | None, text: str, plan: PlanReply) -> None:
    found = render(replace(plan, live=live, left_out=()), Canvas())
    assert text in found
    assert "left out" not in found


def test_another_plan_than_the_live_one_is_told_as_such(plan: PlanReply) -> None:
    supposed = replace(plan, chosen=replace(plan.chosen, title="chosen"))
    text = render_explained(supposed, Canvas())
    assert "live        epoch 3 serves now; this is what would be planned" in text
    assert "MEASURED" not in text


@pytest.mark.parametrize(
    ("gap", "text"),
    [
        (0.042, "answers in 19.7 ms; gap to the proven bound 4.2%\n"),
        (1.0, "answers in 19.7 ms\n"),
    ],
)
def test_a_plan_that_is_not_proven_says_what_is(gap: float, text: str, plan: PlanReply) -> None:
    chosen = replace(plan.chosen, optimal=False, gap=gap)
    assert text in render(replace(plan, chosen=chosen), Canvas())


def test_a_latency_bound_and_notes_are_told(plan: PlanReply) -> None:
    chosen = replace(plan.chosen, notes=("two stages share a machine",))
    text = render(replace(plan, latency_bound_s=0.08, chosen=chosen), Canvas())
    assert "   bound       answers within 80.0 ms\n" in text
    assert "   note        two stages share a machine\n" in text


def test_what_the_explanation_lacks_is_said(plan: PlanReply) -> None:
    text = render_explained(replace(plan, notes=("the time was over",)), Canvas())
    assert "16.2 ms\n   the time was over\n" in text


def test_what_was_measured_stands_beside_what_was_predicted(plan: PlanReply) -> None:
    (first, second) = plan.chosen.stages
    measured = replace(first.replicas[0], measured_compute_s=0.0129)
    chosen = replace(plan.chosen, stages=(replace(first, replicas=(measured,)), second))
    text = render_explained(replace(plan, chosen=chosen), Canvas())
    assert "compute of stage 1 on pi5-kitchen    12.3 ms   12.9 ms  105%\n" in text


def test_the_front(plan: PlanReply) -> None:
    front = (plan.alternatives[0], plan.chosen)
    text = render_front(replace(plan, front=front), Canvas())
    assert "24.1 ms        42.9  ######......  optimal  pi5-kitchen\n" in text
    assert text.endswith("81.3  ############  optimal  pi5-kitchen → pi4-hall")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_long_pipelines_fit(width: int, plan: PlanReply) -> None:
    nodes = tuple(
        replace(stage.replicas[0], node_name=f"a-rather-long-name-of-a-node-{i}", share=0.5)
        for i, stage in enumerate(plan.chosen.stages)
    )
    stages = tuple(replace(stage, replicas=nodes) for stage in plan.chosen.stages * 6)
    chosen = replace(plan.chosen, stages=stages)
    canvas = Canvas(width=width)
    for draw in (render, render_explained):
        text = draw(replace(plan, chosen=chosen, front=(chosen,)), canvas)
        assert max(map(len, text.splitlines())) <= width


def test_what_is_supposed_is_told_with_its_range(plan: PlanReply) -> None:
    supposed = replace(
        plan,
        supposed=("links carry 940 Mbit/s",),
        least_requests_per_s=40.0,
        most_requests_per_s=162.0,
    )
    for text in (render(supposed, Canvas()), render_explained(supposed, Canvas())):
        assert "likely      from 40 to 162 requests/s, since not all was measured" in text
        assert "   supposed\n     links carry 940 Mbit/s\n" in text
    same = replace(supposed, least_requests_per_s=162.0)
    assert "162 requests/s all the same" in render(same, Canvas())
    assert "likely" not in render(plan, Canvas())


def test_what_is_not_taken_as_measured_is_told(plan: PlanReply) -> None:
    slow = replace(plan, corrections=("hall is taken to be 3.0 times slower",))
    for text in (render(slow, Canvas()), render_explained(slow, Canvas())):
        (line,) = [one for one in text.splitlines() if "corrected" in one]
        assert line.split() == [
            "corrected",
            "hall",
            "is",
            "taken",
            "to",
            "be",
            "3.0",
            "times",
            "slower",
        ]
    assert "corrected" not in render(plan, Canvas())


def test_a_front_says_what_it_supposes(plan: PlanReply) -> None:
    supposed = replace(plan, front=(plan.chosen,), supposed=("times of pi5 are scaled",))
    assert render_front(supposed, Canvas()).endswith("   supposed\n     times of pi5 are scaled")
    assert render_explained(supposed, Canvas()).count("times of pi5 are scaled") == 1
