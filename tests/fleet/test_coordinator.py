from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import InfeasibleError
from mesh.fleet import reconcile
from mesh.fleet.bars import BAR_S
from mesh.fleet.coordinator import (
    PREPARE_S,
    SETTLE_S,
    SPLIT_SETTLE_S,
    Check,
    Coordinator,
    Instruction,
    Solve,
)
from mesh.fleet.facts import problem_for
from mesh.fleet.plans import WORTHWHILE_GAIN, ModelFacts, is_healthy
from mesh.fleet.reconcile import StageKey
from mesh.fleet.view import NodeView, View
from mesh.ids import BootId, Epoch, ModelId, NodeId, PlanId
from mesh.planning import explain, solve
from mesh.planning.pieces import PieceMemory, Pieces
from mesh.wire import codec
from mesh.wire.documents import (
    MAX_PROBLEM_CHARS,
    Advert,
    CapabilityDocument,
    HoldingsDocument,
    Link,
    LinksDocument,
    Plan,
    PlansDocument,
    StagesDocument,
    StageState,
    StageStatus,
)

MIB = 1 << 20
A, B, C, D = (NodeId(letter * 16) for letter in "abcd")
MODEL = ModelId("0" * 64)
PIECES = Pieces(
    boundaries=(0, 2, 4, 6),
    boundary_bytes=(1000, 1000, 1000, 1000),
    memory={"litert": PieceMemory(piece_bytes=(100 * MIB,) * 3, stage_bytes=0)},
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
            host_id=self.name,
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
            boundaries=() if failed else PIECES.boundaries,
            layer_s=() if failed else (0.1 / self.speed,) * 3,
            stage_s=0.0,
            failure=self.failure,
        )

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
    golden: Golden = passes
    live: dict[ModelId, Plan] = field(default_factory=dict)
    now_s: float = 0.0
    coordinator: Coordinator = field(default_factory=lambda: Coordinator(A))
    solved: int = 0
    checked: list[Plan] = field(default_factory=list)
    pending: list[Instruction] = field(default_factory=list)

    @property
    def facts(self) -> ModelFacts:
        return ModelFacts(model_id=MODEL, name="m", min_stages=self.min_stages, pieces=PIECES)

    @property
    def ready(self) -> frozenset[NodeId]:
        return frozenset(node_id for node_id, board in self.boards.items() if board.ready)

    @property
    def plan(self) -> Plan | None:
        return self.live.get(MODEL)

    @property
    def problem(self) -> str | None:
        return next((one.reason for one in self.coordinator.problems()), None)

    def nodes(self) -> list[NodeId]:
        """Who runs the live plan, stage by stage."""
        return [stage.node_id for stage in self.plan.stages] if self.plan is not None else []

    def view(self) -> View:
        return {node_id: self.view_of(node_id, board) for node_id, board in self.boards.items()}

    def view_of(self, node_id: NodeId, board: Board) -> NodeView:
        peers = [
            Link(peer=other, goodput_bytes_per_s=1e8, message_s=1e-3)
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
            {MODEL: self.facts}, self.view(), self.live, ready=self.ready, now_s=self.now_s
        )
        for node_id, board in self.boards.items():
            self.obey(node_id, board)

    def answer(self, instruction: Instruction) -> None:
        if isinstance(instruction, Check):
            self.checked.append(instruction.plan)
            failure, again = self.golden(instruction.plan)
            live = self.coordinator.checked(
                instruction.plan, failure, again=again, now_s=self.now_s
            )
            if live is not None:
                self.live[live.model_id] = live
            return
        self.solved += 1
        try:
            solution = solve(instruction.problem)
        except InfeasibleError as error:
            self.take(str(error))
        else:
            explanation = explain(instruction.problem, solution)
            self.coordinator.solved(
                self.facts, (solution, explanation), self.view(), self.plan, now_s=self.now_s
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
    assert {stage.node_id for stage in prepared.stages} == {A, B}
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
    assert [stage.node_id for plan in fleet.coordinator.preparing() for stage in plan.stages] == [B]
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
        stages=(replace(mine.stages[0], node_id=A),),
        bottleneck_s=0.3,
    )
    fleet.boards[B].hangs = False
    fleet.run()
    assert fleet.plan is not None
    assert fleet.plan.epoch > 7
    assert fleet.nodes() == [B]


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
        fleet.view(), MODEL, PIECES, eligible=fleet.ready, gateway=A, min_stages=min_stages
    )
    assert len(fleet.plan.stages) >= problem.min_stages
    assert fleet.plan.bottleneck_s < solve(problem).bottleneck_s * WORTHWHILE_GAIN


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
