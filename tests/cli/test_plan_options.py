"""Plans side by side."""

from dataclasses import replace

import pytest

from mesh.cli import plan_options
from mesh.cli.canvas import Canvas
from mesh.ids import NodeId
from mesh.wire.planned import PlanOption, PlanReply


def drawn(plan: PlanReply, width: int = 80) -> str:
    canvas = Canvas(width=width)
    return canvas.draw(plan_options.rivals(plan, canvas))


def spread(option: PlanOption, count: int) -> PlanOption:
    """The first stage on so many nodes."""
    stage = option.stages[0]
    nodes = tuple(
        replace(stage.replicas[0], node_id=NodeId(f"{i:016x}"), node_name=f"n{i}", share=1 / count)
        for i in range(count)
    )
    return replace(option, stages=(replace(stage, replicas=nodes), *option.stages[1:]))


def test_a_rival_that_is_the_chosen_one_is_marked_and_told_once(plan: PlanReply) -> None:
    text = drawn(plan)
    assert " * best pipeline           81.3  ############     19.7 ms  optimal\n" in text
    assert "live now" not in text


def test_what_was_measured_makes_no_other_plan(plan: PlanReply) -> None:
    stage = plan.chosen.stages[0]
    node = replace(stage.replicas[0], measured_compute_s=0.013)
    stages = (replace(stage, replicas=(node,)), *plan.chosen.stages[1:])
    assert "live now" not in drawn(replace(plan, chosen=replace(plan.chosen, stages=stages)))


def test_a_chosen_plan_that_is_no_rival_has_a_line_of_its_own(plan: PlanReply) -> None:
    text = drawn(replace(plan, alternatives=plan.alternatives[:1]))
    assert " * live now                81.3" in text


def test_a_kind_of_which_there_is_none_says_why(plan: PlanReply) -> None:
    assert "   best replicas           none\n     pi4-hall lacks 80 MiB" in drawn(plan)


def test_proofs(plan: PlanReply) -> None:
    unproven = replace(plan.chosen, optimal=False)
    assert plan_options.proof(plan.chosen) == "optimal"
    assert plan_options.proof(replace(unproven, gap=0.0419)) == "gap 4.2%"
    assert plan_options.proof(replace(unproven, gap=1.0)) == "not proven"


def test_nodes_that_take_turns_are_added_up(plan: PlanReply) -> None:
    assert plan_options.layout(spread(plan.chosen, 3)) == "n0 + n1 + n2 → pi4-hall"
    assert plan_options.layout(spread(plan.chosen, 30)) == "30 nodes → pi4-hall"


def test_helps_say_how_much(plan: PlanReply) -> None:
    text = Canvas().draw([plan_options.helps(plan)])
    assert "   a faster pi5                 130  ×1.60     16.2 ms" in text
    endless = replace(plan, helps=(replace(plan.helps[0], requests_per_s=None),))
    assert "a faster pi5                   –       16.2 ms" in Canvas().draw(
        [plan_options.helps(endless)]
    )


@pytest.mark.parametrize("width", [56, 60, 80, 100])
def test_each_rival_has_one_line_of_figures(plan: PlanReply, width: int) -> None:
    lines = drawn(plan, width).splitlines()
    assert max(map(len, lines)) <= width
    figures = [line for line in lines if line.endswith("optimal")]
    assert len(figures) == len(plan.alternatives)
    assert lines[0].endswith("ANSWERS IN  PROOF")
    assert all(line.index("optimal") == lines[0].index("PROOF") for line in figures)


def test_points_of_the_front_that_show_as_equal_are_told_once(plan: PlanReply) -> None:
    chosen, later = plan.chosen, replace(plan.chosen, latency_s=plan.chosen.latency_s * 2)
    alike = replace(chosen, latency_s=chosen.latency_s * 1.00001)
    text = Canvas().draw([plan_options.front((chosen, alike, later), Canvas())])
    assert len(text.splitlines()) == 3
