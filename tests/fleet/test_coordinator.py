from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.fleet import reconcile
from mesh.fleet.answering import answer
from mesh.fleet.bars import BAR_S
from mesh.fleet.consideration import SETTLE_S, SPLIT_SETTLE_S
from mesh.fleet.coordinator import MAX_PAUSE_S, Coordinator
from mesh.fleet.facts import problem_for
from mesh.fleet.plans import ModelFacts, is_healthy
from mesh.fleet.preparation import PREPARE_S
from mesh.fleet.readings import Condition
from mesh.fleet.reconcile import StageKey
from mesh.fleet.switching import DWELL_S, LEAST_GAIN
from mesh.fleet.track import Check, Instruction, Solve
from mesh.fleet.view import NodeView, View
from mesh.ids import BootId, Epoch, ModelId, NodeId, PlanId
from mesh.planning import solve
from mesh.planning.pieces import PieceMemory, Pieces
from mesh.planning.wishes import Wishes
from mesh.testing.documents import sample_stage
from mesh.wire import codec
from mesh.wire.documents import (
    MAX_PROBLEM_CHARS,
    Advert,
    HoldingsDocument,
    Plan,
    PlansDocument,
    StagesDocument,
    StageState,
    StageStatus,
)
from mesh.wire.measured import MAX_TIME_S, CapabilityDocument, Link, LinksDocument

MIB = 1 << 20
A, B, C, D = (NodeId(letter * 16) for letter in "abcd")
MODEL = ModelId("0" * 64)
PIECES = Pieces(
    boundaries=(0, 2, 4, 6),
    boundary_bytes=(1000, 1000, 1000, 1000),
    memory={"litert": PieceMemory(piece_bytes=(100 * MIB,) * 3, stage_bytes=0)},
)
UNCUT = Pieces(
    boundaries=(0, 6),
    boundary_bytes=(1000, 1000),
    memory={"litert": PieceMemory(piece_bytes=(300 * MIB,), stage_bytes=0)},
)
WHOLE_BYTES = 400 * MIB  # room for all three pieces and an interpreter
PART_BYTES = 200 * MIB  # room for one
REVIEW_S = 1.0

Golden = Callable[[Plan], tuple[str | None, bool]]


def passes(_plan: Plan) -> tuple[str | None, bool]:
    return None, False


@dataclass(slots=True, kw_only=True)
class Board:
    """A node as the others see it, and how it behaves."""

    name: str
    speed: float = 1.0
    memory_bytes: int = WHOLE_BYTES
    ready: bool = True
    introduced: bool = True
    holds: bool = True
    measured: bool = True
    linked: bool = True
    failure: str | None = None
    pieces: Pieces = PIECES
    slowness: float = 1.0
    throttled: bool = False
    remeasured: int = 0
    benched: float = 1.0
    host: str = ""
    breaks: bool = False
    hangs: bool = False
    stages: dict[StageKey, StageStatus] = field(default_factory=dict)

    def advert(self, node_id: NodeId) -> Advert:
        return Advert(
            node_id=node_id,
            boot_id=BootId("0" * 8),
            name=self.name,
            mesh_name="default",
            version="1",
            board="",
            board_label="",
            runtime="litert",
            runtime_version="2.3.0",
            kernel_class="k",
            broker_url=f"mqtt://{self.name}:1883",
            broker_kind="mosquitto",
            http_url=f"http://{self.name}:80",
            host_id=self.host or self.name,
            host_cores=4,
            threads=1,
            memory_bytes=self.memory_bytes,
        )

    def capability(self) -> CapabilityDocument:
        failed = self.failure is not None
        return CapabilityDocument(
            model_id=MODEL,
            kernel_class="k",
            threads=1,
            boundaries=() if failed else self.pieces.boundaries,
            layer_s=() if failed else (self.layer_s,) * len(self.pieces),
            stage_s=0.0,
            failure=self.failure,
        )

    @property
    def layer_s(self) -> float:
        """As measured last: a measurement is never quite the same."""
        return (0.3 * self.benched + 1e-6 * self.remeasured) / self.speed / len(self.pieces)

    def run(self, plan: Plan, stage: int) -> None:
        """Requests pass: what the stage takes now is told."""
        key = StageKey(plan_id=plan.plan_id, stage=stage)
        ranged = plan.stages[stage]
        usual_s = 0.3 / self.speed * (ranged.stop - ranged.start) / 6
        if key in self.stages:
            self.stages[key] = replace(self.stages[key], measured_compute_s=usual_s * self.slowness)

    def load(self, plan: Plan, stage: int) -> None:
        state = StageState.READY
        if self.breaks or self.hangs:
            state = StageState.FAILED if self.breaks else StageState.LOADING
        self.stages[StageKey(plan_id=plan.plan_id, stage=stage)] = StageStatus(
            plan_id=plan.plan_id,
            epoch=plan.epoch,
            model_id=plan.model_id,
            stage=stage,
            state=state,
            error="no memory left" if self.breaks else None,
        )


@dataclass(slots=True, kw_only=True)
class Fleet:
    """A coordinator and the boards it sees. Answers to its instructions come one review later."""

    boards: dict[NodeId, Board]
    me: NodeId = A
    min_stages: int = 1
    max_replicas: int | None = 1
    golden: Golden = passes
    live: dict[ModelId, Plan] = field(default_factory=dict)
    busy: bool = False
    draining: frozenset[NodeId] = frozenset()
    slow_links: dict[tuple[NodeId, NodeId], float] = field(default_factory=dict)
    switches_s: list[float] = field(default_factory=list)
    now_s: float = 0.0
    coordinator: Coordinator = field(default_factory=lambda: Coordinator(A))
    solved: int = 0
    checked: list[Plan] = field(default_factory=list)
    pending: list[Instruction] = field(default_factory=list)

    @property
    def wishes(self) -> Wishes:
        return Wishes(min_stages=self.min_stages, max_replicas=self.max_replicas)

    @property
    def facts(self) -> ModelFacts:
        return ModelFacts(
            model_id=MODEL, name="m", wishes=self.wishes, pieces=self.boards[self.me].pieces
        )

    @property
    def ready(self) -> frozenset[NodeId]:
        up = {node_id for node_id, board in self.boards.items() if board.ready}
        return frozenset(up - self.draining)

    @property
    def plan(self) -> Plan | None:
        return self.live.get(MODEL)

    @property
    def problem(self) -> str | None:
        return next((one.reason for one in self.coordinator.problems()), None)

    def nodes(self) -> list[NodeId]:
        """Who runs the live plan, stage by stage."""
        return list(self.plan.node_ids) if self.plan is not None else []

    def link(self, one: NodeId, other: NodeId) -> Link:
        takes = self.slow_links.get((one, other), 1.0)
        return Link(peer=other, goodput_bytes_per_s=1e8 / takes, message_s=1e-3)

    def view(self) -> View:
        return {node_id: self.view_of(node_id, board) for node_id, board in self.boards.items()}

    def view_of(self, node_id: NodeId, board: Board) -> NodeView:
        peers = [
            self.link(node_id, other)
            for other, one in self.boards.items()
            if other != node_id and one.linked and board.linked
        ]
        plans = (*self.live.values(), *self.coordinator.preparing())
        return NodeView(
            advert=board.advert(node_id) if board.introduced else None,
            holdings=HoldingsDocument(held=(MODEL,) if board.holds else ()),
            capabilities={MODEL: board.capability()} if board.measured else {},
            links=LinksDocument(links=tuple(peers)),
            stages=StagesDocument(stages=tuple(board.stages.values())),
            plans=PlansDocument(lease_term=1, plans=plans) if node_id == self.me else None,
        )

    def review(self) -> None:
        self.now_s += REVIEW_S
        answered, self.pending = self.pending, []
        for instruction in answered:
            self.answer(instruction)
        self.pending = self.coordinator.step(
            {MODEL: self.facts},
            self.view(),
            self.live,
            ready=self.ready,
            draining=self.draining,
            conditions={
                node_id: Condition(is_throttled=board.throttled)
                for node_id, board in self.boards.items()
            },
            now_s=self.now_s,
        )
        for node_id, board in self.boards.items():
            self.obey(node_id, board)
            for i, stage in enumerate(self.plan.stages if self.plan and self.busy else ()):
                if node_id in stage.node_ids:
                    board.run(self.live[MODEL], i)

    def answer(self, instruction: Instruction) -> None:
        if isinstance(instruction, Check):
            self.checked.append(instruction.plan)
            failure, again = self.golden(instruction.plan)
            live = self.coordinator.checked(
                instruction.plan, failure, again=again, now_s=self.now_s
            )
            if live is not None:
                self.live[live.model_id] = live
                self.switches_s.append(self.now_s)
            return
        self.solved += 1
        self.coordinator.solved(
            self.facts,
            answer(instruction, self.facts.pieces),
            self.view(),
            self.plan,
            now_s=self.now_s,
        )

    def take(self, why: str) -> None:
        self.coordinator.solved(self.facts, why, self.view(), self.plan, now_s=self.now_s)

    def obey(self, node_id: NodeId, board: Board) -> None:
        todo = reconcile.changes(
            [*self.live.values(), *self.coordinator.preparing()],
            me=node_id,
            held=board.stages,
            lingering=[],
        )
        for key in todo.unload:
            del board.stages[key]
        for plan, stage in todo.load:
            board.load(plan, stage)

    def run(self, seconds: float = 10.0) -> "Fleet":
        for _ in range(round(seconds / REVIEW_S)):
            self.review()
        return self

    def is_quiet(self) -> bool:
        """Nothing is asked for any more."""
        before = self.solved, len(self.checked)
        self.run(5)
        return before == (self.solved, len(self.checked)) and not self.coordinator.preparing()


def a_fleet(**boards: Board) -> Fleet:
    """Boards by the letter of their node id."""
    return Fleet(boards={NodeId(letter * 16): board for letter, board in boards.items()})


def a_pair(**changes: int) -> Fleet:
    """Two boards of which neither has room for the whole model."""
    fleet = a_fleet(
        a=Board(name="ann", memory_bytes=300 * MIB), b=Board(name="bob", memory_bytes=300 * MIB)
    )
    fleet.min_stages = changes.get("min_stages", 1)
    return fleet


# The straight way


def test_a_plan_is_made_prepared_checked_and_live() -> None:
    fleet = a_pair()
    fleet.review()
    assert isinstance(fleet.pending[0], Solve)
    fleet.review()
    (prepared,) = fleet.coordinator.preparing()
    assert set(prepared.node_ids) == {A, B}
    assert (prepared.stages[0].start, prepared.stages[-1].stop) == (0, 6)
    assert prepared.epoch == 1
    fleet.review()
    assert fleet.pending == [Check(plan=prepared)]
    fleet.review()
    assert fleet.plan is not None
    assert fleet.plan.plan_id == prepared.plan_id
    assert fleet.plan.verdict
    assert fleet.problem is None
    assert fleet.coordinator.preparing() == ()
    assert fleet.is_quiet()


def test_one_question_is_asked_at_a_time() -> None:
    fleet = a_pair()
    fleet.review()
    asked = fleet.pending
    for _ in range(3):
        fleet.pending = []
        fleet.review()
        assert fleet.pending == []
    fleet.pending = asked
    assert set(fleet.run().nodes()) == {A, B}


def test_one_node_that_can_do_it_alone_is_a_plan() -> None:
    fleet = a_fleet(a=Board(name="ann")).run()
    assert fleet.nodes() == [A]
    assert fleet.plan is not None
    assert fleet.plan.single_node == A
    assert fleet.is_quiet()


def test_a_model_that_is_served_no_longer_is_forgotten() -> None:
    fleet = a_pair()
    fleet.review()
    fleet.coordinator.step({}, fleet.view(), {}, ready=fleet.ready, now_s=5.0)
    fleet.take("too late")
    assert fleet.coordinator.problems() == ()
    assert fleet.coordinator.preparing() == ()


# Nodes that are not ready to take part


@pytest.mark.parametrize(
    ("bob", "why"),
    [
        (Board(name="bob", introduced=False, memory_bytes=300 * MIB), "introduced"),
        (Board(name="bob", holds=False, memory_bytes=300 * MIB), "bob: it is fetching the model"),
        (Board(name="bob", measured=False, memory_bytes=300 * MIB), "bob: it is being measured"),
        (Board(name="bob", linked=False, memory_bytes=300 * MIB), "bob: its links are being"),
    ],
)
def test_the_first_plan_waits_for_nodes_that_are_still_measuring(bob: Board, why: str) -> None:
    fleet = a_fleet(a=Board(name="ann", memory_bytes=300 * MIB), b=bob).run()
    assert fleet.problem is not None
    assert fleet.problem.startswith("not planned yet")
    assert why in fleet.problem
    bob.introduced = bob.holds = bob.measured = bob.linked = True
    fleet.run()
    assert set(fleet.nodes()) == {A, B}
    assert fleet.problem is None


def test_it_goes_on_without_a_node_that_takes_too_long_and_takes_it_in_later() -> None:
    slow = Board(name="bob", measured=False, speed=2.0)
    fleet = a_fleet(a=Board(name="ann"), b=slow).run(SETTLE_S - 2)
    assert fleet.plan is None
    fleet.run(10)
    assert fleet.nodes() == [A]
    slow.measured = True
    fleet.run()
    assert B in fleet.nodes()
    assert fleet.is_quiet()


def test_a_split_that_was_asked_for_is_waited_for_longer() -> None:
    fleet = a_fleet(a=Board(name="ann"), b=Board(name="bob", measured=False))
    fleet.min_stages = 2
    assert fleet.run(SETTLE_S + 10).plan is None
    assert fleet.run(SPLIT_SETTLE_S - SETTLE_S).nodes() == [A]
    fleet.boards[B].measured = True
    assert set(fleet.run().nodes()) == {A, B}


def test_no_node_that_can_run_it_is_a_sentence_with_names_and_reasons() -> None:
    fleet = a_fleet(
        a=Board(name="ann", failure="operator FOO is not known"), b=Board(name="bob", ready=False)
    )
    assert fleet.run().problem == "no node can run it: ann: operator FOO is not known"
    fleet.boards[A].ready = False
    assert fleet.run().problem == "no node is ready"


def test_a_problem_without_a_solution_is_told_with_names_and_not_asked_again() -> None:
    fleet = a_fleet(a=Board(name="ann", memory_bytes=100 * MIB)).run()
    assert fleet.plan is None
    assert fleet.problem is not None
    assert "memory" in fleet.problem
    assert "ann" in fleet.problem
    assert fleet.solved == 1
    assert fleet.is_quiet()


def test_the_reason_is_not_hidden_by_links_that_are_never_measured() -> None:
    fleet = a_pair()
    fleet.boards[B].linked = False
    fleet.run(3 * SETTLE_S)
    assert fleet.problem is not None
    assert not fleet.problem.startswith("not planned yet")
    assert fleet.is_quiet()


def test_links_that_come_late_are_a_reason_to_plan_again() -> None:
    fleet = a_pair()
    fleet.boards[B].linked = False
    fleet.run(3 * SETTLE_S)
    assert fleet.plan is None
    fleet.boards[B].linked = True
    assert set(fleet.run().nodes()) == {A, B}


def test_a_coordinator_that_cannot_run_the_model_plans_for_others_once_it_reaches_them() -> None:
    fleet = a_fleet(
        a=Board(name="ann", failure="no such operator", linked=False), b=Board(name="bob")
    ).run()
    assert fleet.plan is None
    fleet.boards[A].linked = True
    assert fleet.run().nodes() == [B]


# Trouble while preparing


def test_a_node_lost_while_preparing_is_planned_without() -> None:
    fleet = a_fleet(a=Board(name="ann"), b=Board(name="bob", speed=9.0, hangs=True)).run(5)
    assert [plan.node_ids for plan in fleet.coordinator.preparing()] == [(B,)]
    del fleet.boards[B]
    assert fleet.run().nodes() == [A]


def test_a_node_whose_stage_fails_is_barred_and_planned_without() -> None:
    fleet = a_fleet(a=Board(name="ann"), b=Board(name="bob", speed=9.0, breaks=True)).run()
    assert fleet.nodes() == [A]
    assert fleet.problem is None
    assert fleet.is_quiet()


def test_a_node_whose_stage_never_loads_is_barred() -> None:
    fleet = a_fleet(a=Board(name="ann"), b=Board(name="bob", speed=9.0, hangs=True))
    assert fleet.run(PREPARE_S).plan is None
    assert fleet.run(20).nodes() == [A]


def test_when_all_are_barred_the_sentence_has_their_own_words() -> None:
    fleet = a_fleet(a=Board(name="ann", breaks=True)).run()
    assert fleet.problem == "no node can run it: ann: left out for 5 min: no memory left"
    assert fleet.solved == 1


def test_a_long_story_is_cut_to_what_a_document_takes() -> None:
    """Longer, and the others could not read any of this node's plans."""
    boards = {letter: Board(name=letter * 2000, breaks=True) for letter in "abc"}
    fleet = a_fleet(**boards).run()
    problems = fleet.coordinator.problems()
    assert [len(one.reason) for one in problems] == [MAX_PROBLEM_CHARS]
    said = PlansDocument(lease_term=1, plans=(), problems=problems)
    assert codec.decode(PlansDocument, codec.encode(said), max_bytes=1 << 20) == said


def test_a_barred_node_that_went_and_came_back_has_a_clean_sheet() -> None:
    bob = Board(name="bob", speed=9.0, breaks=True)
    fleet = a_fleet(a=Board(name="ann"), b=bob).run()
    bob.ready, bob.breaks = False, False
    fleet.run()
    bob.ready = True
    assert fleet.run().nodes() == [B]


def test_a_wrong_golden_answer_is_told_and_not_tried_again() -> None:
    fleet = a_fleet(a=Board(name="ann"))
    fleet.golden = lambda plan: ("output 0 differs", False)
    fleet.run(60)
    assert fleet.plan is None
    assert fleet.problem == "the golden check failed: output 0 differs"
    assert len(fleet.checked) == 1
    fleet.golden = passes
    fleet.boards[B] = Board(name="bob", speed=9.0)
    assert fleet.run().nodes() == [B]


def test_a_wrong_golden_answer_stays_the_reason_while_another_node_is_measured() -> None:
    fleet = a_fleet(a=Board(name="ann"))
    fleet.golden = lambda plan: ("output 0 differs", False)
    fleet.run()
    fleet.boards[B] = Board(name="bob", measured=False)
    assert fleet.run().problem == "the golden check failed: output 0 differs"


def test_a_check_that_was_lost_on_its_way_is_tried_again() -> None:
    fleet = a_fleet(a=Board(name="ann"))
    fleet.golden = lambda plan: ("no answer", True) if len(fleet.checked) < 3 else (None, False)
    assert fleet.run(20).nodes() == [A]
    assert len(fleet.checked) == 3
    assert fleet.problem is None


def test_the_outcome_of_a_check_that_nobody_waits_for_is_ignored() -> None:
    fleet = a_fleet(a=Board(name="ann")).run()
    assert fleet.plan is not None
    assert fleet.coordinator.checked(fleet.plan, None, now_s=99.0) is None


def test_a_plan_is_given_up_when_a_newer_one_is_live() -> None:
    """Another coordinator was heard after a partition."""
    fleet = a_fleet(a=Board(name="ann"), b=Board(name="bob", speed=9.0, hangs=True)).run(5)
    (mine,) = fleet.coordinator.preparing()
    fleet.live[MODEL] = replace(
        mine,
        plan_id=PlanId("7" * 16),
        epoch=Epoch(7),
        stages=(sample_stage(A, start=0, stop=mine.stages[0].stop),),
        bottleneck_s=0.3,
    )
    fleet.boards[B].hangs = False
    fleet.run()
    assert fleet.plan is not None
    assert fleet.plan.epoch > 7
    assert fleet.nodes() == [B]


class Liar(Board):
    """Says that it takes no time, and that its stages take a day."""

    @property
    def layer_s(self) -> float:
        return 5e-324

    def run(self, plan: Plan, stage: int) -> None:
        key = StageKey(plan_id=plan.plan_id, stage=stage)
        if key in self.stages:
            self.stages[key] = replace(self.stages[key], measured_compute_s=MAX_TIME_S)


def test_what_a_node_says_of_itself_never_stops_the_coordinator() -> None:
    fleet = a_fleet(a=Board(name="ann"), b=Liar(name="bob"))
    fleet.run()
    fleet.busy = True
    fleet.run(30)
    assert fleet.plan is not None
    del fleet.boards[B]
    fleet.run(30)
    assert fleet.nodes() == [A]
    assert fleet.problem is None


def test_checks_that_are_lost_each_time_are_tried_more_and_more_rarely() -> None:
    fleet = a_pair()
    fleet.golden = lambda _plan: ("no answer", True)
    fleet.run(300)
    assert len(fleet.checked) < 12
    fleet.golden = passes
    fleet.run(MAX_PAUSE_S + 10)
    assert fleet.plan is not None


def test_a_node_that_is_lost_is_gone_without_at_once_whatever_was_lost_before() -> None:
    ann, bob, cy = (
        Board(name=name, speed=speed, pieces=UNCUT)
        for name, speed in (("ann", 1.0), ("bob", 2.0), ("cy", 9.0))
    )
    fleet = a_fleet(a=ann, b=bob).run()
    assert fleet.nodes() == [B]
    fleet.golden = lambda _plan: ("no answer", True)
    fleet.boards[C] = cy
    fleet.run(100)
    fleet.golden = passes
    bob.ready = cy.ready = False
    assert fleet.run(10).nodes() == [A]


# While a plan is live


def test_a_lost_node_is_planned_without_at_once() -> None:
    fleet = a_fleet(a=Board(name="ann"), b=Board(name="bob", speed=9.0)).run()
    assert fleet.nodes() == [B]
    del fleet.boards[B]
    assert fleet.run(4).nodes() == [A]
    assert fleet.plan is not None
    assert fleet.plan.epoch == 2


def test_a_lost_node_is_planned_without_at_once_also_while_another_is_measured() -> None:
    fleet = a_fleet(a=Board(name="ann"), b=Board(name="bob", speed=9.0)).run()
    del fleet.boards[B]
    fleet.boards[C] = Board(name="cleo", measured=False, linked=False)
    assert fleet.run(4).nodes() == [A]
    fleet.boards[C].measured = True
    fleet.boards[D] = Board(name="dora", linked=False)
    assert fleet.run(2 * SETTLE_S).is_quiet()


def test_a_live_stage_that_fails_is_planned_around() -> None:
    fleet = a_fleet(a=Board(name="ann"), b=Board(name="bob", speed=9.0)).run()
    bob = fleet.boards[B]
    bob.stages = {
        key: replace(status, state=StageState.FAILED, error="died again and again")
        for key, status in bob.stages.items()
    }
    assert fleet.run().nodes() == [A]
    assert fleet.is_quiet()


def test_a_new_node_that_makes_it_much_better_is_taken_in_while_the_old_plan_serves() -> None:
    fleet = a_fleet(a=Board(name="ann")).run()
    fleet.boards[B] = Board(name="bob", speed=2.0, hangs=True)
    fleet.run()
    assert fleet.nodes() == [A]
    assert fleet.coordinator.preparing()
    for key, status in fleet.boards[B].stages.items():
        fleet.boards[B].stages[key] = replace(status, state=StageState.READY)
    assert B in fleet.run().nodes()


def test_a_new_node_that_makes_it_hardly_better_changes_nothing() -> None:
    fleet = a_fleet(a=Board(name="ann")).run()
    before = fleet.plan
    fleet.boards[B] = Board(name="bob", speed=0.01)
    assert fleet.run().plan == before
    assert fleet.solved == 2
    assert fleet.is_quiet()


def test_a_new_node_that_cannot_take_part_is_not_even_planned_with() -> None:
    fleet = a_fleet(a=Board(name="ann")).run()
    fleet.boards[B] = Board(name="bob", failure="no such operator")
    fleet.run()
    assert fleet.solved == 1


def test_a_wish_for_more_stages_is_granted_at_the_price_of_speed() -> None:
    fleet = a_fleet(a=Board(name="ann", speed=9.0), b=Board(name="bob"), c=Board(name="cleo")).run()
    assert fleet.nodes() == [A]
    fleet.min_stages = 3
    assert set(fleet.run().nodes()) == {A, B, C}
    assert fleet.is_quiet()
    fleet.min_stages = 1
    assert fleet.run().nodes() == [A]


def test_a_wish_for_more_stages_than_there_are_nodes_is_granted_as_far_as_it_goes() -> None:
    fleet = a_pair(min_stages=9).run(SPLIT_SETTLE_S + 10)
    assert set(fleet.nodes()) == {A, B}
    assert fleet.is_quiet()


def test_a_live_plan_stays_when_the_lease_moves() -> None:
    fleet = a_pair().run()
    before = fleet.plan
    assert before is not None
    fleet.coordinator.reset()
    assert fleet.run().plan == before
    assert fleet.is_quiet()
    fleet.coordinator = Coordinator(B)
    fleet.me = B
    assert fleet.run().plan == before
    assert fleet.problem is None


def test_a_problem_is_over_when_the_plan_can_be_used_again() -> None:
    fleet = a_fleet(a=Board(name="ann", failure="no such operator"), b=Board(name="bob")).run()
    assert fleet.nodes() == [B]
    fleet.boards[B].ready = False
    assert fleet.run().problem == "no node can run it: ann: no such operator"
    fleet.boards[B].ready = True
    assert fleet.run().problem is None
    assert fleet.nodes() == [B]


# Any history

FLAGS = ("ready", "introduced", "holds", "measured", "linked", "breaks", "hangs")
new_boards = st.builds(
    Board,
    name=st.just("new"),
    speed=st.sampled_from([0.5, 1.0, 2.0, 8.0]),
    memory_bytes=st.sampled_from([PART_BYTES, WHOLE_BYTES]),
    failure=st.sampled_from([None, None, "no such operator"]),
)
others = st.sampled_from([B, C, D])
happenings = st.one_of(
    st.tuples(st.just("join"), others, new_boards),
    st.tuples(st.just("leave"), others),
    st.tuples(st.just("flip"), others, st.sampled_from(FLAGS)),
    st.tuples(st.just("wish"), st.integers(1, 4)),
    st.tuples(st.just("lease moved")),
    st.tuples(st.just("lost checks"), st.integers(0, 2)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 3.0, 40.0])),
)


@dataclass(slots=True)
class LosingChecks:
    """A golden check whose frames are lost so many times."""

    left: int = 0

    def __call__(self, _plan: Plan) -> tuple[str | None, bool]:
        self.left -= 1
        return ("no answer", True) if self.left >= 0 else (None, False)


def happen(fleet: Fleet, golden: LosingChecks, what: str, *details: object) -> None:
    match what, details:
        case "join", (node_id, Board() as board):
            fleet.boards[NodeId(str(node_id))] = replace(board, stages={})
        case "leave", (node_id,):
            fleet.boards.pop(NodeId(str(node_id)), None)
        case "flip", (node_id, str(flag)):
            known = fleet.boards.get(NodeId(str(node_id)))
            if known is not None:
                setattr(known, flag, not getattr(known, flag))
        case "wish", (int(stages),):
            fleet.min_stages = stages
        case "lease moved", ():
            fleet.coordinator.reset()
        case "lost checks", (int(times),):
            golden.left = times
        case "wait", (float(seconds),):
            fleet.run(seconds)


def mend(fleet: Fleet) -> None:
    """Everybody is well again; who was barred stays so."""
    for board in fleet.boards.values():
        board.ready = board.introduced = board.holds = board.measured = board.linked = True
        board.breaks = board.hangs = False


@settings(max_examples=60)
@given(st.lists(happenings, max_size=12))
def test_a_fleet_that_comes_to_rest_ends_with_a_sound_plan(
    history: list[tuple[object, ...]],
) -> None:
    golden = LosingChecks()
    fleet = a_fleet(a=Board(name="ann"))
    fleet.golden = golden
    for what, *details in history:
        happen(fleet, golden, str(what), *details)
        fleet.review()
        assert len({plan.model_id for plan in fleet.coordinator.preparing()}) <= 1
    mend(fleet)
    fleet.run(SPLIT_SETTLE_S + PREPARE_S + 40)
    assert fleet.is_quiet()
    assert fleet.plan is not None
    assert is_healthy(fleet.plan, fleet.ready)
    assert fleet.problem is None
    epochs = [plan.epoch for plan in fleet.checked]
    assert epochs == sorted(epochs)


@settings(max_examples=40)
@given(
    speeds=st.lists(st.sampled_from([0.5, 1.0, 2.0, 8.0]), min_size=1, max_size=3),
    order=st.permutations([B, C, D]),
    min_stages=st.integers(1, 4),
)
def test_a_fleet_that_grew_node_by_node_is_hardly_worse_than_one_planned_at_once(
    speeds: list[float], order: list[NodeId], min_stages: int
) -> None:
    fleet = a_fleet(a=Board(name="ann"))
    fleet.min_stages = min_stages
    fleet.run(5)
    for node_id, speed in zip(order, speeds, strict=False):
        fleet.boards[node_id] = Board(name="new", speed=speed)
        fleet.run(6)
    fleet.run(10)
    assert fleet.plan is not None
    problem = problem_for(
        fleet.view(),
        MODEL,
        PIECES,
        eligible=fleet.ready,
        gateway=A,
        wishes=Wishes(min_stages=min_stages, max_replicas=1),
    )
    assert len(fleet.plan.stages) >= problem.min_stages
    assert fleet.plan.bottleneck_s < solve(problem).bottleneck_s * LEAST_GAIN


# What passes by itself


def test_a_node_that_failed_gets_another_chance_after_a_while() -> None:
    fleet = a_fleet(a=Board(name="ann", breaks=True)).run(20)
    assert fleet.plan is None
    assert "no memory left" in (fleet.problem or "")
    fleet.boards[A].breaks = False
    assert fleet.run(BAR_S / 2).plan is None
    assert fleet.run(BAR_S).nodes() == [A]
    assert fleet.problem is None
    assert fleet.is_quiet()


def test_the_only_node_is_tried_again_when_its_live_stage_has_failed() -> None:
    fleet = a_fleet(a=Board(name="ann")).run()
    before = fleet.plan
    assert before is not None
    fleet.boards[A].breaks = True
    fleet.boards[A].load(before, 0)
    fleet.run(20)
    assert "no memory left" in (fleet.problem or "")
    fleet.boards[A].breaks = False
    fleet.run(BAR_S + 20)
    assert fleet.plan is not None
    assert fleet.plan.epoch > before.epoch
    assert fleet.problem is None
    assert fleet.is_quiet()


def test_a_node_that_restarted_within_its_plan_is_gone_without_until_it_is_measured() -> None:
    fleet = a_fleet(a=Board(name="ann"), b=Board(name="bob")).run()
    assert set(fleet.nodes()) == {A, B}
    fleet.boards[B].measured = False
    fleet.boards[B].stages.clear()
    fleet.run(5)
    assert fleet.nodes() == [A]
    fleet.boards[B].measured = True
    assert set(fleet.run().nodes()) == {A, B}


# Nodes that become slower or faster, at full load


def a_trio(pieces: Pieces = UNCUT, **speeds: float) -> Fleet:
    """Boards that can each run the whole model; the fastest does."""
    names = {"a": "ann", "b": "bob", "c": "cleo"}
    boards = {k: Board(name=names[k], speed=v, pieces=pieces) for k, v in speeds.items()}
    fleet = a_fleet(**boards)
    fleet.busy = True
    return fleet.run(10)


def flapping(fleet: Fleet, node_id: NodeId, *, period_s: int, slowness: float, for_s: int) -> None:
    """The node is slow for half of each period; left alone, it measures itself when it is due."""
    board = fleet.boards[node_id]
    for second in range(for_s):
        is_slow = second % period_s >= period_s / 2
        board.slowness, board.throttled = (slowness if is_slow else 1.0), is_slow
        due = [one.node_id for one in fleet.coordinator.paces(now_s=fleet.now_s) if one.is_due]
        if node_id in due and node_id not in fleet.nodes():
            board.remeasured += 1
            board.benched = board.slowness
        fleet.review()


def test_a_node_slowed_to_a_third_is_left_within_ten_seconds() -> None:
    fleet = a_trio(a=8.0, b=7.0, c=1.0)
    assert fleet.nodes() == [A]
    fleet.boards[A].slowness = 3.0
    fleet.boards[A].throttled = True
    fleet.run(10)
    assert A not in fleet.nodes()
    assert fleet.plan is not None
    assert fleet.plan.reason == "ann became 3.0 times slower (throttled)"
    assert fleet.is_quiet()


def test_a_node_that_is_a_little_slower_is_kept() -> None:
    fleet = a_trio(a=8.0, b=7.0)
    fleet.boards[A].slowness = 1.2
    fleet.run(30)
    assert len(fleet.switches_s) == 1


def test_a_slow_node_that_nothing_better_replaces_is_kept() -> None:
    fleet = a_trio(a=8.0, b=1.0)
    fleet.boards[A].slowness = 3.0
    assert fleet.run(30).nodes() == [A]
    assert len(fleet.switches_s) == 1
    assert fleet.problem is None


def test_a_slow_node_that_was_left_comes_back_when_it_measures_itself_fast() -> None:
    fleet = a_trio(a=8.0, b=4.0)
    fleet.boards[A].slowness = 3.0
    fleet.run(10)
    assert fleet.nodes() == [B]
    fleet.boards[A].slowness = 1.0
    assert fleet.run(120).nodes() == [B], "nothing is known of it"
    (pace,) = fleet.coordinator.paces(now_s=fleet.now_s)
    assert (pace.node_id, pace.slowness, pace.is_due) == (A, 3.0, True)
    fleet.boards[A].remeasured = 1
    fleet.run(10)
    assert fleet.nodes() == [A]
    assert fleet.plan is not None
    assert fleet.plan.reason == "ann became 3.0 times faster"


def test_after_a_switch_for_a_flapping_node_it_takes_a_minute_to_the_next() -> None:
    fleet = a_trio(a=8.0, b=4.0, c=3.0)
    flapping(fleet, A, period_s=10, slowness=3.0, for_s=600)
    assert all(later - one >= DWELL_S for one, later in pairwise(fleet.switches_s[1:]))
    assert 1 < len(fleet.switches_s) <= 8


def test_another_node_that_becomes_slow_is_left_within_the_minute() -> None:
    fleet = a_trio(a=8.0, b=4.0, c=3.0)
    fleet.boards[A].slowness = 6.0
    fleet.run(10)
    assert fleet.nodes() == [B]
    fleet.boards[B].slowness = 6.0
    assert fleet.run(10).nodes() == [C]


def test_a_minor_slowdown_waits_for_its_minute() -> None:
    fleet = a_trio(a=8.0, b=4.0, c=3.5)
    fleet.boards[A].slowness = 6.0
    fleet.run(10)
    fleet.boards[B].slowness = 1.6
    assert fleet.run(30).nodes() == [B]
    assert fleet.run(40).nodes() == [C]


def test_a_slow_stage_of_a_pipeline_gives_layers_away() -> None:
    fleet = a_trio(PIECES, a=1.0, b=1.0)
    assert fleet.plan is not None
    slow = fleet.plan.stages[0 if fleet.plan.stages[0].stop == 4 else 1]
    assert slow.stop - slow.start == 4
    fleet.boards[slow.node_ids[0]].slowness = 2.2
    fleet.run(10)
    assert fleet.plan.reason.endswith("became 2.2 times slower")
    (lighter,) = [one for one in fleet.plan.stages if one.node_ids == slow.node_ids]
    assert lighter.stop - lighter.start == 2


@settings(max_examples=12, deadline=None)
@given(
    period_s=st.integers(5, 20),
    slowness=st.floats(1.4, 5.0),
    speeds=st.tuples(*[st.sampled_from([1.0, 2.0, 4.0, 8.0])] * 3),
)
def test_a_node_that_flaps_causes_at_most_one_switch_a_minute(
    period_s: int, slowness: float, speeds: tuple[float, float, float]
) -> None:
    fleet = a_trio(a=speeds[0], b=speeds[1], c=speeds[2])
    flapping(fleet, fleet.nodes()[0], period_s=period_s, slowness=slowness, for_s=300)
    assert all(later - one >= DWELL_S for one, later in pairwise(fleet.switches_s[1:]))


@settings(max_examples=25, deadline=None)
@given(
    slowness=st.tuples(*[st.floats(0.8, 1.25)] * 3),
    speeds=st.tuples(*[st.sampled_from([1.0, 2.0, 4.0, 8.0])] * 3),
)
def test_nodes_that_stay_as_they_are_cause_no_switch_ever(
    slowness: tuple[float, float, float], speeds: tuple[float, float, float]
) -> None:
    fleet = a_trio(a=speeds[0], b=speeds[1], c=speeds[2])
    for board, factor in zip(fleet.boards.values(), slowness, strict=True):
        board.slowness = factor
    fleet.run(200)
    assert len(fleet.switches_s) == 1


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.floats(1.05, 2.0), min_size=5, max_size=20))
def test_a_node_that_becomes_slower_and_slower_is_left_in_the_end(steps: list[float]) -> None:
    fleet = a_trio(a=8.0, b=7.0)
    assert fleet.nodes() == [A]
    for step in [*steps, 2.0]:
        fleet.boards[A].slowness *= step
        fleet.run(7)
    fleet.run(DWELL_S + 10)
    assert A not in fleet.nodes()


# Links that become slower or faster

FRAMED = replace(UNCUT, boundary_bytes=(3_000_000, 1000))
"""A request's frame takes 31 ms to another node."""


def a_star() -> Fleet:
    """Ann is the gateway and slow; bob runs the model, cleo could in hardly more time."""
    fleet = a_trio(FRAMED, a=1.0, b=8.0, c=7.0)
    assert fleet.nodes() == [B]
    return fleet


def test_a_plan_whose_link_became_slower_is_left_for_one_without_it() -> None:
    fleet = a_star()
    fleet.slow_links[A, B] = 4.0
    fleet.run(10)
    assert fleet.nodes() == [C]
    assert fleet.plan is not None
    assert fleet.plan.reason == "the link ann → bob became 3.9 times slower"
    (told,) = fleet.coordinator.link_paces()
    assert (told.node_id, told.link.peer, told.slowness) == (A, B, 3.9)
    assert fleet.is_quiet()


def test_a_link_that_is_fast_again_is_used_after_its_rest() -> None:
    fleet = a_star()
    fleet.slow_links[A, B] = 4.0
    fleet.run(10)
    del fleet.slow_links[A, B]
    fleet.boards[C].slowness = 1.25
    assert fleet.run(30).nodes() == [C]
    assert fleet.run(60).nodes() == [B]
    assert fleet.plan is not None
    assert fleet.plan.reason == "the link ann → bob became 3.9 times faster"
    assert fleet.coordinator.link_paces() == ()


def test_a_slow_link_that_no_other_plan_avoids_is_kept() -> None:
    fleet = a_star()
    fleet.slow_links = {(A, B): 2.0, (A, C): 2.0}
    assert fleet.run(30).nodes() == [B]
    assert (len(fleet.switches_s), fleet.problem) == (1, None)


def test_a_link_that_became_faster_is_a_reason_to_use_it() -> None:
    fleet = a_fleet(
        a=Board(name="ann", pieces=FRAMED),
        b=Board(name="bob", pieces=FRAMED, speed=8.0),
        c=Board(name="cleo", pieces=FRAMED, speed=7.0),
    )
    fleet.slow_links[A, B] = 4.0
    assert fleet.run(10).nodes() == [C]
    del fleet.slow_links[A, B]
    assert fleet.run(10).nodes() == [B]
    assert fleet.plan is not None
    assert fleet.plan.reason == "the link ann → bob became 3.9 times faster"


def test_links_of_one_machine_do_not_drift() -> None:
    fleet = a_star()
    for board in fleet.boards.values():
        board.host = "one"
    fleet.run(5)
    switches = len(fleet.switches_s)
    fleet.slow_links[A, B] = 4.0
    fleet.run(10)
    assert fleet.coordinator.link_paces() == ()
    assert len(fleet.switches_s) == switches


@settings(max_examples=20, deadline=None)
@given(noise=st.lists(st.floats(0.8, 1.15), min_size=10, max_size=40))
def test_noisy_links_cause_no_switch(noise: list[float]) -> None:
    fleet = a_star()
    for i, factor in enumerate(noise):
        fleet.slow_links[A, (B, C)[i % 2]] = factor
        fleet.run(5)
    assert len(fleet.switches_s) == 1


@settings(max_examples=15, deadline=None)
@given(period_s=st.integers(5, 90), takes=st.floats(1.3, 9.0))
def test_a_link_that_flaps_causes_at_most_one_switch_a_minute(period_s: int, takes: float) -> None:
    fleet = a_star()
    for second in range(400):
        fleet.slow_links[A, B] = takes if second % period_s >= period_s / 2 else 1.0
        fleet.review()
    assert all(later - one >= DWELL_S for one, later in pairwise(fleet.switches_s[1:]))
    assert len(fleet.switches_s) <= 7


# Draining


def test_a_draining_node_is_left_and_comes_back() -> None:
    fleet = a_trio(a=8.0, b=1.0)
    fleet.draining = frozenset({A})
    fleet.run(6)
    assert fleet.nodes() == [B]
    assert fleet.plan is not None
    assert fleet.plan.reason == "ann is draining"
    fleet.draining = frozenset()
    assert fleet.run(6).nodes() == [A]
    assert fleet.plan.reason == "ann can take part"


def test_where_nobody_else_can_run_it_a_draining_node_goes_on_and_it_is_said() -> None:
    fleet = a_trio(a=8.0)
    fleet.draining = frozenset({A})
    fleet.run(6)
    assert fleet.nodes() == [A]
    assert fleet.problem == "no node can run it: ann: it is draining"
    assert fleet.is_quiet()
