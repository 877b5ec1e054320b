"""Before a plan goes live, the model's golden input goes through it and must come out as recorded.

It goes as many ways as pass every replica: each proves itself before a request goes there. Through
each of them it goes once at a time.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from mesh.errors import MeshError, UnsupportedModelError
from mesh.fleet.view import View
from mesh.ids import NodeId
from mesh.model.tensor import TensorSpec
from mesh.node.dispatcher import Dispatcher
from mesh.node.library import Library
from mesh.node.roster import Roster
from mesh.node.status import name_of
from mesh.pipeline.request import Answer
from mesh.pipeline.ways import covering, is_replicated, nodes_on, number_on
from mesh.runtime.golden import golden_inputs, outputs_match
from mesh.store.manifest import Golden, ModelManifest
from mesh.wire.documents import Plan

TIMEOUT_S = 60.0

Outcome = tuple[str | None, bool]
"""The failure or None, and whether a retry may help."""
OnOutcome = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One way of the golden input through a plan, and what must come out."""

    plan: Plan
    way: int
    manifest: ModelManifest
    expected: tuple[bytes, ...]
    kernel_class: str


@dataclass(slots=True, kw_only=True)
class _Outcomes:
    """Calls back once: at the first failure, or when so many runs have passed, of which some wait."""

    left: int
    on_outcome: OnOutcome
    waiting: "deque[Callable[[], None]]" = field(default_factory=deque)

    def add(self, outcome: Outcome) -> None:
        if self.left == 0:
            return
        failure, _ = outcome
        self.left = 0 if failure is not None else self.left - 1
        if self.left == 0:
            self.on_outcome(outcome)
        else:
            self.begin()

    def begin(self) -> None:
        """Have the next run begin, if one waits."""
        if self.waiting:
            self.waiting.popleft()()


class GoldenCheck:
    """Knows where the recorded run is, and puts it through the pipeline."""

    def __init__(self, library: Library, roster: Roster, dispatcher: Dispatcher) -> None:
        self._library = library
        self._roster = roster
        self._dispatcher = dispatcher

    def check(self, plan: Plan, on_outcome: OnOutcome) -> None:
        """Run the golden input through the plan; `on_outcome` gets the failure, and if a retry may help."""
        try:
            manifest = self._library.manifest_of(plan.model_id)
            expected = self._library.golden_outputs(plan.model_id)
            golden = _golden_of(manifest)
            inputs = golden_inputs(manifest.inputs, golden.seed, draw=golden.draw)
        except MeshError as error:
            on_outcome((str(error), error.retryable))
            return
        ways = covering(plan)
        outcomes = _Outcomes(left=len(ways), on_outcome=on_outcome)
        for way in ways:
            run = _Run(
                plan=plan,
                way=way,
                manifest=manifest,
                expected=expected,
                kernel_class=golden.kernel_class,
            )
            send = partial(self._send, run, _paired(manifest.inputs, inputs), outcomes)
            outcomes.waiting.append(send)
        # So many in a row pass different replicas: none has more than one to compute.
        for _ in range(min(len(stage.replicas) for stage in plan.stages)):
            outcomes.begin()

    def _send(
        self, run: _Run, inputs: tuple[tuple[TensorSpec, bytes], ...], outcomes: _Outcomes
    ) -> None:
        self._dispatcher.ask(
            run.manifest.model_id,
            inputs,
            run.manifest.outputs,
            timeout_s=TIMEOUT_S,
            on_answer=partial(self._answered, run, outcomes),
            pinned=run.plan,
            way=run.way,
        )

    def _answered(self, run: _Run, outcomes: _Outcomes, answer: Answer) -> None:
        outcomes.add(_judge(run, answer, self._roster.view))


def _judge(run: _Run, answer: Answer, view: View) -> Outcome:
    if answer.refusal is not None:
        return answer.refusal.message, answer.refusal.retryable
    if not _went_its_way(run, answer):
        return f"the golden input did not go{_through(run, view)}", True
    outputs = [bytes(data) for data in answer.outputs]
    exact = _kernel_classes(run, view) == {run.kernel_class}
    agreed = outputs_match(run.expected, outputs, run.manifest.outputs, same_kernel_class=exact)
    return (None if agreed else _sentence(run, view, exact=exact)), False


def _golden_of(manifest: ModelManifest) -> Golden:
    """Raises: UnsupportedModelError."""
    if manifest.golden is None:
        raise UnsupportedModelError(f"{manifest.name} has no recorded run: add it again")
    return manifest.golden


def _paired(
    specs: Iterable[TensorSpec], inputs: Iterable[bytes]
) -> tuple[tuple[TensorSpec, bytes], ...]:
    return tuple(zip(specs, inputs, strict=True))


def _went_its_way(run: _Run, answer: Answer) -> bool:
    """Whether the replicas that it was to prove have computed it."""
    meant = {(i, number_on(stage, run.way)) for i, stage in enumerate(run.plan.stages)}
    took = {(time.stage, time.replica) for time in answer.timings}
    return took == meant or not is_replicated(run.plan)


def _kernel_classes(run: _Run, view: View) -> set[str]:
    return {_kernel_class(view, node_id) for node_id in nodes_on(run.plan, run.way)}


def _kernel_class(view: View, node_id: NodeId) -> str:
    node = view.get(node_id)
    return node.advert.kernel_class if node is not None and node.advert is not None else ""


def _through(run: _Run, view: View) -> str:
    """The way in words; nothing where the plan has but one."""
    if not is_replicated(run.plan):
        return ""
    return f" through {', '.join(name_of(view, n) for n in nodes_on(run.plan, run.way))}"


def _sentence(run: _Run, view: View, *, exact: bool) -> str:
    how = "bit for bit" if exact else "within the tolerance between kernel classes"
    epoch, through = run.plan.epoch, _through(run, view)
    return f"the plan of epoch {epoch} does not give the recorded answer{through} {how}"
