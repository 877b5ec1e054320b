from dataclasses import replace

import pytest

from mesh.fleet.plans import ModelFacts
from mesh.fleet.readings import Condition
from mesh.fleet.reasons import name_in, why_anew
from mesh.fleet.track import Basis, Situation, Track
from mesh.fleet.view import NodeView, View
from mesh.ids import ModelId, NodeId
from mesh.planning.pieces import PieceMemory, Pieces
from mesh.planning.wishes import Wishes
from mesh.testing.documents import sample_advert, sample_plan, sample_stage
from mesh.wire.documents import StagesDocument, StageState, StageStatus

A, B, C = (NodeId(letter * 16) for letter in "abc")
MODEL = ModelId("0" * 64)
LIVE = sample_plan(sample_stage(A, start=0, stop=1), sample_stage(B, start=1, stop=2))
VIEW: View = {
    node_id: NodeView(advert=sample_advert(node_id, name=name))
    for node_id, name in ((A, "ann"), (B, "bob"), (C, "cleo"))
}
PIECES = Pieces(
    boundaries=(0, 2),
    boundary_bytes=(0, 0),
    memory={"litert": PieceMemory(piece_bytes=(1,), stage_bytes=0)},
)
NOW = Situation(
    facts=ModelFacts(model_id=MODEL, name="m", wishes=Wishes(), pieces=PIECES),
    view=VIEW,
    live=LIVE,
    ready=frozenset({A, B}),
    draining=frozenset(),
    conditions={},
    me=A,
    now_s=0.0,
)


def a_basis(*nodes: NodeId, wishes: Wishes | None = None, **paces: float) -> Basis:
    return Basis(
        nodes=nodes,
        wishes=wishes or Wishes(),
        kernels=(),
        linked=(),
        paces=tuple((n, paces.get(n[0], 1.0)) for n in nodes),
    )


def why(before: Basis | None, after: Basis, now: Situation = NOW) -> str:
    return why_anew(Track(basis=before), after, now)


def test_the_first_plan() -> None:
    assert why(None, a_basis(A), replace(NOW, live=None)) == "the first plan"


def test_what_is_wrong_with_the_live_plan_comes_first() -> None:
    after = a_basis(A)
    assert why(a_basis(A, B), after, replace(NOW, ready=frozenset({A}))) == "bob left"
    drained = replace(NOW, ready=frozenset(), draining=frozenset({A, B}))
    assert why(a_basis(A, B), after, drained) == "ann and bob are draining"
    status = StageStatus(
        plan_id=LIVE.plan_id,
        epoch=LIVE.epoch,
        model_id=LIVE.model_id,
        stage=1,
        state=StageState.FAILED,
        error="no memory",
    )
    broken = {**VIEW, B: replace(VIEW[B], stages=StagesDocument(stages=(status,)))}
    assert why(a_basis(A, B), after, replace(NOW, view=broken)) == "bob failed: no memory"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (a_basis(A, B), a_basis(A, B, C), "cleo can take part"),
        (a_basis(A, B, C), a_basis(A, B), "cleo cannot take part any more"),
        (
            a_basis(A, B),
            a_basis(A, B, wishes=Wishes(min_stages=2)),
            "what the model asks for is not what it was",
        ),
        (a_basis(A, B), a_basis(A, B, b=2.9), "bob became 2.9 times slower"),
        (a_basis(A, B, b=3.0), a_basis(A, B), "bob became 3.0 times faster"),
        (
            a_basis(A, B),
            a_basis(A, B, a=2.0, b=0.5),
            "ann became 2.0 times slower; bob became 2.0 times faster",
        ),
        (a_basis(A, B), a_basis(A, B), "nodes or links were measured anew"),
        (None, a_basis(A, B), "the coordinator is new, or the last plan did not come to be"),
    ],
)
def test_what_differs_is_told(before: Basis | None, after: Basis, said: str) -> None:
    assert why(before, after) == said


@pytest.mark.parametrize(
    ("condition", "aside"),
    [
        (Condition(is_throttled=True, temperature_c=81.6), " (throttled, 82 °C)"),
        (Condition(is_throttled=True), " (throttled)"),
        (Condition(temperature_c=50.0), " (50 °C)"),
        (Condition(), ""),
    ],
)
def test_how_a_slow_node_is_comes_with_it(condition: Condition, aside: str) -> None:
    now = replace(NOW, conditions={B: condition})
    assert why(a_basis(A, B), a_basis(A, B, b=2.0), now) == f"bob became 2.0 times slower{aside}"


def test_not_all_of_many_nodes_are_named() -> None:
    many = tuple(NodeId(f"{i:016x}") for i in range(9))
    assert why(a_basis(), a_basis(*many)).endswith(f"{many[3]} and 5 more can take part")


def test_a_link_that_drifted_is_named_by_both_ends() -> None:
    slow = replace(a_basis(A, B), paths=(((A, B), 3.1),))
    assert why(a_basis(A, B), slow) == "the link ann → bob became 3.1 times slower"
    assert why(slow, a_basis(A, B)) == "the link ann → bob became 3.1 times faster"
    assert why(slow, slow) == "nodes or links were measured anew"


def test_another_power_mode_is_told() -> None:
    before, after = (
        replace(a_basis(A, B), kernels=(("k", 1, ""), ("k", 1, mode))) for mode in ("15W", "MAXN")
    )
    assert why(before, after) == "bob is in power mode MAXN instead of 15W"


def test_a_node_without_a_name_is_called_by_its_id() -> None:
    assert (name_in(VIEW, A), name_in({}, A)) == ("ann", A)
