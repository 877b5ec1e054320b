"""Before a plan goes live, the model's golden input goes through it and must come out as recorded."""

from collections.abc import Callable, Iterable

from mesh.errors import MeshError, UnsupportedModelError
from mesh.fleet.view import View
from mesh.ids import NodeId
from mesh.model.tensor import TensorSpec
from mesh.node.dispatcher import Dispatcher
from mesh.node.library import Library
from mesh.node.roster import Roster
from mesh.pipeline.request import Answer
from mesh.runtime.golden import golden_inputs, outputs_match
from mesh.store.manifest import Golden, ModelManifest
from mesh.wire.documents import Plan

TIMEOUT_S = 60.0

OnOutcome = Callable[[tuple[str | None, bool]], None]


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
        exact = _kernel_classes(plan, self._roster.view) == {golden.kernel_class}

        def judge(answer: Answer) -> None:
            if answer.refusal is not None:
                on_outcome((answer.refusal.message, answer.refusal.retryable))
                return
            outputs = [bytes(data) for data in answer.outputs]
            agreed = outputs_match(expected, outputs, manifest.outputs, same_kernel_class=exact)
            on_outcome((None if agreed else _sentence(plan, exact=exact), False))

        self._dispatcher.ask(
            manifest.model_id,
            _paired(manifest.inputs, inputs),
            manifest.outputs,
            timeout_s=TIMEOUT_S,
            on_answer=judge,
            pinned=plan,
        )


def _golden_of(manifest: ModelManifest) -> Golden:
    """Raises: UnsupportedModelError."""
    if manifest.golden is None:
        raise UnsupportedModelError(f"{manifest.name} has no recorded run: add it again")
    return manifest.golden


def _paired(
    specs: Iterable[TensorSpec], inputs: Iterable[bytes]
) -> tuple[tuple[TensorSpec, bytes], ...]:
    return tuple(zip(specs, inputs, strict=True))


def _kernel_classes(plan: Plan, view: View) -> set[str]:
    return {_kernel_class(view, stage.node_id) for stage in plan.stages}


def _kernel_class(view: View, node_id: NodeId) -> str:
    node = view.get(node_id)
    return node.advert.kernel_class if node is not None and node.advert is not None else ""


def _sentence(plan: Plan, *, exact: bool) -> str:
    how = "bit for bit" if exact else "within the tolerance between kernel classes"
    return f"the plan of epoch {plan.epoch} does not give the recorded answer {how}"
