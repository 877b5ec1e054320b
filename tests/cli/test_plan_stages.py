"""The table of a plan's stages."""

from dataclasses import replace

import pytest

from mesh.cli import plan_stages
from mesh.cli.canvas import Canvas
from mesh.ids import NodeId
from mesh.wire.planned import PlannedNode, PlanReply


def short(plan: PlanReply) -> str:
    return Canvas().draw([plan_stages.stages(plan, Canvas())])


def with_bars(plan: PlanReply) -> str:
    return Canvas().draw([plan_stages.stages_with_bars(plan, Canvas())])


def changed(plan: PlanReply, *nodes: PlannedNode) -> PlanReply:
    """With these nodes for the first stage."""
    stage = replace(plan.chosen.stages[0], replicas=nodes)
    return replace(plan, chosen=replace(plan.chosen, stages=(stage, *plan.chosen.stages[1:])))


@pytest.fixture
def shared(plan: PlanReply) -> PlanReply:
    node = plan.chosen.stages[0].replicas[0]
    other = replace(node, node_id=NodeId("7" * 16), node_name="pi5-den", share=0.25)
    return changed(plan, replace(node, share=0.75), other)


def test_nodes_of_one_stage_are_its_lines(shared: PlanReply) -> None:
    lines = short(shared).splitlines()
    assert lines[1].split()[:5] == [">", "1", "0–41", "pi5-kitchen", "75%"]
    assert lines[2].split()[:2] == ["pi5-den", "25%"]
    assert lines[3].split()[:3] == ["2", "42–138", "pi4-hall"]


def test_shares_stand_under_the_names_where_there_are_bars(shared: PlanReply) -> None:
    text = with_bars(shared)
    assert "75% of requests  ##########...  #............  #######......." in text


def test_bars_say_how_busy_each_is(plan: PlanReply) -> None:
    assert "12.3 ms 100%    0.40 ms   3%  1,600 MiB  50%" in with_bars(plan)


def test_messages_keep_a_node_busy_too(plan: PlanReply) -> None:
    node = replace(plan.chosen.stages[0].replicas[0], compute_s=0.004, pace_s=0.0123)
    assert "4.00 ms 100%" in with_bars(changed(plan, node))


def test_what_takes_no_time_or_has_no_limit_is_a_dash(plan: PlanReply) -> None:
    node = replace(plan.chosen.stages[0].replicas[0], receive_s=0.0, room_bytes=None)
    assert "12.3 ms        –  1,600 MiB  –\n" in short(changed(plan, node))
    line = with_bars(changed(plan, node)).splitlines()[1]
    assert line.split()[-4:] == ["100%", "–", "1,600", "MiB"]


def test_too_little_memory_is_a_full_bar(plan: PlanReply) -> None:
    node = replace(plan.chosen.stages[0].replicas[0], room_bytes=1 << 20)
    assert "######## 160000%" in short(changed(plan, node))


def test_the_reply_has_a_line_where_it_takes_time(plan: PlanReply) -> None:
    assert "reply  to pi3-attic           0.40 ms" in short(plan)
    at_once = replace(plan, chosen=replace(plan.chosen, exit_s=0.0))
    assert "reply" not in short(at_once) + with_bars(at_once)


def test_the_way_out_may_be_the_bottleneck(plan: PlanReply) -> None:
    assert plan.gateway is not None
    chosen = replace(
        plan.chosen,
        bottleneck_kind="transfer",
        bottleneck_nodes=(plan.chosen.stages[-1].replicas[0].node_id,),
        bottleneck_receivers=(plan.gateway,),
    )
    marked = [line for line in short(replace(plan, chosen=chosen)).splitlines() if ">" in line]
    assert len(marked) == 1
    assert "reply" in marked[0]
