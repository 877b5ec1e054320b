"""Where a plan's bottleneck is marked."""

from dataclasses import replace

from mesh.cli.plan_bottleneck import Column, mark_of, occupied_s
from mesh.ids import NodeId
from mesh.wire.planned import PlanOption, PlanReply

GATEWAY = NodeId("e" * 16)


def transfer(option: PlanOption, senders: str, receivers: str) -> PlanOption:
    """Nodes by their places in the pipeline; "g" is the gateway."""
    ids = {str(i): stage.replicas[0].node_id for i, stage in enumerate(option.stages)}
    named = ids | {"g": GATEWAY}
    return replace(
        option,
        bottleneck_kind="transfer",
        bottleneck_nodes=tuple(named[one] for one in senders),
        bottleneck_receivers=tuple(named[one] for one in receivers),
    )


def test_compute_is_marked_where_it_is(plan: PlanReply) -> None:
    mark = mark_of(plan.chosen, GATEWAY)
    ids = [stage.replicas[0].node_id for stage in plan.chosen.stages]
    assert mark.column is Column.COMPUTE
    assert [mark.hits(i, node_id) for i, node_id in enumerate(ids)] == [True, False]
    assert not mark.is_way_out(plan.chosen)


def test_a_machine_is_marked_on_all_its_nodes(plan: PlanReply) -> None:
    ids = tuple(stage.replicas[0].node_id for stage in plan.chosen.stages)
    mark = mark_of(replace(plan.chosen, bottleneck_kind="machine", bottleneck_nodes=ids), GATEWAY)
    assert all(mark.hits(i, node_id) for i, node_id in enumerate(ids))


def test_a_transfer_is_marked_where_it_comes_in(plan: PlanReply) -> None:
    mark = mark_of(transfer(plan.chosen, "0", "1"), GATEWAY)
    assert (mark.column, mark.stage) == (Column.WAY_IN, 1)
    assert mark_of(transfer(plan.chosen, "g", "0"), GATEWAY).stage == 0


def test_the_way_out_is_behind_the_last_stage(plan: PlanReply) -> None:
    assert mark_of(transfer(plan.chosen, "1", "g"), GATEWAY).is_way_out(plan.chosen)
    assert mark_of(transfer(plan.chosen, "1", ""), None).is_way_out(plan.chosen)


def test_a_gateway_that_has_a_stage_as_well_gets_replies_on_the_way_out(plan: PlanReply) -> None:
    first, last = (stage.replicas[0].node_id for stage in plan.chosen.stages)
    assert mark_of(transfer(plan.chosen, "1", "0"), first).stage == 2
    assert mark_of(transfer(plan.chosen, "0", "1"), first).stage == 1
    assert mark_of(transfer(plan.chosen, "0", "1"), last).stage == 1
    assert mark_of(transfer(plan.chosen, "1", "0"), last).stage == 0


def test_among_replicas_of_the_whole_model_the_gateway_sends_in_and_takes_out(
    plan: PlanReply,
) -> None:
    nodes = tuple(stage.replicas[0] for stage in plan.chosen.stages)
    stage = replace(plan.chosen.stages[0], replicas=nodes)
    option, me = replace(plan.chosen, stages=(stage,)), nodes[0].node_id
    into = replace(transfer(plan.chosen, "0", "1"), stages=option.stages)
    out = replace(transfer(plan.chosen, "1", "0"), stages=option.stages)
    assert [mark_of(one, me).stage for one in (into, out)] == [0, 1]


def test_messages_count_where_they_keep_the_processor_longer(plan: PlanReply) -> None:
    node = plan.chosen.stages[0].replicas[0]
    assert occupied_s(node) == node.compute_s
    assert occupied_s(replace(node, pace_s=0.02)) == 0.02
    assert occupied_s(replace(node, pace_s=0.02, receive_s=0.02)) == node.compute_s
