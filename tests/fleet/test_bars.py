import pytest

from mesh.fleet.bars import BAR_S, MAX_BAR_S, Bar, bar, still_barred
from mesh.ids import NodeId

A, B = NodeId("a" * 16), NodeId("b" * 16)


def test_the_first_bar_is_short_and_in_the_nodes_words() -> None:
    assert bar({A: "no disk"}, {}, now_s=10.0) == {
        A: Bar(why="no disk", since_s=10.0, until_s=10.0 + BAR_S)
    }


def test_each_failure_that_follows_doubles_the_bar_up_to_a_day() -> None:
    records: dict[NodeId, Bar] = {}
    lengths_s, now_s = [], 0.0
    for _ in range(12):
        records = bar({A: "quarantined"}, records, now_s=now_s)
        lengths_s.append(records[A].length_s)
        now_s = records[A].until_s + 1.0
    assert lengths_s[:3] == [BAR_S, 2 * BAR_S, 4 * BAR_S]
    assert lengths_s[-1] == MAX_BAR_S


def test_doing_well_for_as_long_as_the_bar_was_makes_up_for_it() -> None:
    records = bar({A: "quarantined"}, {}, now_s=0.0)
    assert bar({A: "again"}, records, now_s=2 * BAR_S + 1)[A].length_s == BAR_S
    assert bar({A: "again"}, records, now_s=2 * BAR_S)[A].length_s == 2 * BAR_S


@pytest.mark.parametrize(
    ("ready", "now_s", "barred"),
    [
        ({A, B}, BAR_S - 1, {A, B}),
        ({B}, BAR_S - 1, {B}),
        ({A, B}, BAR_S, set()),
    ],
    ids=["as long as it holds", "not who went", "not who served its time"],
)
def test_who_is_still_barred(ready: set[NodeId], now_s: float, barred: set[NodeId]) -> None:
    bars = bar({A: "x", B: "y"}, {}, now_s=0.0)
    assert set(still_barred(bars, ready, now_s=now_s)) == barred


def test_it_tells_for_how_long_and_why() -> None:
    one = Bar(why="quarantined", since_s=0.0, until_s=BAR_S)
    assert str(one) == "left out for 5 min: quarantined"
