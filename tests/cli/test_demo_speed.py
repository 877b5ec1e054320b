import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.cli.canvas import Canvas
from mesh.cli.demo_speed import Speed, hops, median_timing, speed_table, stage_table
from mesh.ids import NodeId
from mesh.model.tensor import LayerRange
from mesh.wire.infer import StageTiming, Timing

A, B, C = (NodeId(digit * 16) for digit in "abc")


def timing(*nodes: str, total_s: float = 0.02, queue_s: float = 0.001) -> Timing:
    stages = tuple(
        StageTiming(
            node=node,
            name=f"node-{node[0]}",
            layers=LayerRange(start=10 * i, stop=10 * i + 10),
            queue_s=queue_s,
            compute_s=0.004,
        )
        for i, node in enumerate(nodes)
    )
    return Timing(total_s=total_s, transfer_s=0.006, stages=stages)


@pytest.mark.parametrize(
    ("asked", "nodes", "count"),
    [(A, (A,), 0), (A, (B,), 2), (A, (A, B, C), 3), (A, (B, A, C), 4), (A, (B, C, A), 3)],
)
def test_a_hop_is_a_way_between_two_nodes(
    asked: NodeId, nodes: tuple[str, ...], count: int
) -> None:
    assert hops(asked, timing(*nodes)) == count


def test_the_median_is_taken_figure_by_figure() -> None:
    several = [
        timing(A, B, total_s=t, queue_s=q) for t, q in ((0.9, 0.1), (0.02, 0.3), (0.03, 0.2))
    ]
    found = median_timing(several)
    assert (found.total_s, found.transfer_s) == (0.03, 0.006)
    assert [stage.queue_s for stage in found.stages] == [0.2, 0.2]
    assert [stage.node for stage in found.stages] == [A, B]


def test_requests_under_an_older_plan_do_not_count() -> None:
    found = median_timing([timing(A, B, C, total_s=9.0), timing(A, C, total_s=0.5)])
    assert (found.total_s, len(found.stages)) == (0.5, 2)


@given(st.lists(st.floats(0, 1e3), min_size=1))
def test_a_median_lies_among_its_values(times_s: list[float]) -> None:
    found = median_timing([timing(A, total_s=one) for one in times_s])
    assert min(times_s) <= found.total_s <= max(times_s)


def test_tables_fit_eighty_columns() -> None:
    pipeline = Speed(label="8-stage pipeline", timing=timing(A, B), hops=3, requests_per_s=48.4)
    alone = Speed(label="one node alone", timing=timing(A), hops=0, requests_per_s=56.0)
    drawn = Canvas().draw(
        [stage_table(pipeline.timing, [786_432, 1 << 20]), speed_table([pipeline, alone])]
    )
    assert drawn.split("\n") == [
        "  STAGE  NODE    LAYERS  TAKES IN   WAITED  COMPUTED",
        "      1  node-a     0–9   768 KiB  1.00 ms   4.00 ms",
        "      2  node-b   10–19     1 MiB  1.00 ms   4.00 ms",
        "                    ONE BY ONE  COMPUTING  HOPS  PER HOP     MANY AT ONCE",
        "  8-stage pipeline     20.0 ms    8.00 ms     3  2.00 ms  48.4 requests/s",
        "  one node alone       20.0 ms    4.00 ms     0        –    56 requests/s",
    ]
