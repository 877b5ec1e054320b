"""The drawing is sound XML that says who does what when, whatever the plan."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from mesh.cli.plan_svg import WIDTH, draw
from mesh.ids import NodeId
from mesh.wire.planned import PlanReply

NAMESPACE = "{http://www.w3.org/2000/svg}"


def marks(drawing: str, style: str) -> list[dict[str, str]]:
    root = ET.fromstring(drawing)
    return [dict(one.attrib) for one in root.iter() if one.attrib.get("class") == style]


def texts(drawing: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(drawing).iter(f"{NAMESPACE}text")]


def replicated(plan: PlanReply, count: int) -> PlanReply:
    """Every stage on so many nodes."""
    stages = tuple(
        replace(
            stage,
            replicas=tuple(
                replace(
                    stage.replicas[0],
                    node_id=NodeId(f"{100 * i + j:016x}"),
                    node_name=f"node-{i}-{j}",
                    share=1 / count,
                )
                for j in range(count)
            ),
        )
        for i, stage in enumerate(plan.chosen.stages)
    )
    period_s = plan.chosen.bottleneck_s / count
    chosen = replace(plan.chosen, stages=stages, bottleneck_s=period_s)
    return replace(plan, chosen=chosen)


def test_it_says_who_does_what(plan: PlanReply) -> None:
    said = texts(draw(plan))
    assert said[0] == "pose"
    assert said[1].startswith("139 layers · 2 stages · 2 nodes · 81.3 requests/s predicted")
    for words in (
        "stage 1 · layers 0–41",
        "pi4-hall",
        "6.20 ms, way in 0.40 ms",
        "reply to pi3-attic, 0.40 ms",
        "time in ms",
        "request 1 is answered after 19.7 ms",
        "an answer every 12.3 ms: 81.3 requests/s",
        "busy 50%",
        "81.3 requests/s, answers in 19.7 ms, optimal",
        "none: pi4-hall lacks 80 MiB",
    ):
        assert words in said


def test_the_bottleneck_is_marked(plan: PlanReply) -> None:
    first, last = (stage.replicas[0].node_id for stage in plan.chosen.stages)
    (edge,) = marks(draw(plan), "hotedge")
    way_in = replace(
        plan.chosen,
        bottleneck_kind="transfer",
        bottleneck_nodes=(first,),
        bottleneck_receivers=(last,),
    )
    drawing = draw(replace(plan, chosen=way_in))
    (other,) = marks(drawing, "hotedge")
    assert float(other["y"]) > float(edge["y"])
    assert "the way in is" in texts(drawing)
    assert plan.gateway is not None
    way_out = replace(way_in, bottleneck_nodes=(last,), bottleneck_receivers=(plan.gateway,))
    (third,) = marks(draw(replace(plan, chosen=way_out)), "hotedge")
    assert float(third["y"]) > float(other["y"])


def test_what_messages_keep_the_processor_is_drawn_behind_the_compute(plan: PlanReply) -> None:
    stage = plan.chosen.stages[0]
    node = replace(stage.replicas[0], compute_s=0.008, pace_s=0.0123)
    stages = (replace(stage, replicas=(node,)), *plan.chosen.stages[1:])
    drawing = draw(replace(plan, chosen=replace(plan.chosen, stages=stages)))
    (tail,) = marks(drawing, "r0 rest")[:1]
    (bar, *_) = [one for one in marks(drawing, "r0") if float(one["y"]) < float(tail["y"])]
    assert float(tail["x"]) == pytest.approx(float(bar["x"]) + float(bar["width"]), abs=1)
    assert marks(draw(plan), "r0 rest") == []


@pytest.mark.parametrize("count", [1, 3, 64])
def test_everything_lies_on_the_page(count: int, plan: PlanReply) -> None:
    drawing = draw(replicated(plan, count))
    root = ET.fromstring(drawing)
    height = float(root.attrib["height"])
    assert len(drawing) < 500_000
    for mark in root.iter(f"{NAMESPACE}rect"):
        left, top = float(mark.get("x", 0)), float(mark.get("y", 0))
        assert 0 <= left <= left + float(mark.attrib["width"]) <= WIDTH + 0.5
        assert 0 <= top <= top + float(mark.attrib["height"]) <= height


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 1e5])
def test_any_time_can_be_drawn(scale: float, plan: PlanReply) -> None:
    chosen = replace(
        plan.chosen,
        stages=tuple(
            replace(
                stage,
                replicas=tuple(
                    replace(node, compute_s=node.compute_s * scale, receive_s=0.0, send_s=0.0)
                    for node in stage.replicas
                ),
            )
            for stage in plan.chosen.stages
        ),
        exit_s=0.0,
        bottleneck_s=plan.chosen.bottleneck_s * scale,
        latency_s=0.0185 * scale,
    )
    said = texts(draw(replace(plan, chosen=chosen)))
    assert any(words.startswith("time in ") for words in said)
    assert not any("nan" in words or "inf" in words for words in said)


def test_names_of_others_are_words_and_nothing_else(plan: PlanReply) -> None:
    node = plan.chosen.stages[0].replicas[0]
    evil = replace(node, node_name='<script>x</script>"&\x07' + "y" * 500)
    stage = replace(plan.chosen.stages[0], replicas=(evil,))
    chosen = replace(plan.chosen, stages=(stage, *plan.chosen.stages[1:]))
    drawing = draw(replace(plan, name="<b>", chosen=chosen))
    assert "<script>" not in drawing
    assert "<b>" in texts(drawing)
    assert max(map(len, texts(drawing))) < 300
