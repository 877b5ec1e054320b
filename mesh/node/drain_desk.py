"""Answers `mesh drain` and `mesh undrain`: sets the mark, and tells what the node still holds."""

from collections.abc import Callable

from mesh.errors import UsageError
from mesh.ids import NodeId
from mesh.node.control import Control
from mesh.node.draining import DrainMark
from mesh.node.library import Library
from mesh.node.roster import Roster
from mesh.node.stages import Stages
from mesh.wire.control import DrainReply, DrainRequest, StillHeld
from mesh.wire.documents import NodeState


class DrainDesk:
    """On the loop's thread."""

    def __init__(
        self,
        control_flow: Control,
        roster: Roster,
        library: Library,
        stages: Stages,
        *,
        me: NodeId,
        mark: DrainMark,
        on_change: Callable[[], None],
    ) -> None:
        self._control = control_flow
        self._roster = roster
        self._library = library
        self._stages = stages
        self._me = me
        self._mark = mark
        self._on_change = on_change

    def answer(self, request: DrainRequest) -> DrainReply:
        """The same again changes nothing and tells how far it is. Raises: UsageError, StoreError."""
        if request.node_id != self._me:
            raise UsageError(
                f"this is node {self._me}, not {request.node_id}: send it to that node's broker"
            )
        if self._mark.is_set == request.undo:
            self._mark.put(is_set=not request.undo)
        is_up = self._roster.state in (NodeState.READY, NodeState.DRAINING)
        if is_up and self._roster.state is not self._mark.state:
            self._roster.state = self._mark.state
            self._on_change()
            self._control.review_soon()
        return DrainReply(
            node_id=self._me, state=self._roster.state, held=() if request.undo else self._held()
        )

    def _held(self) -> tuple[StillHeld, ...]:
        """The models of which a stage is here: in a live plan, or until what is under way is done."""
        told = {one.model_id for one in self._stages.document().stages}
        live = {m for m, plan in self._control.adopted.items() if self._me in plan.node_ids}
        names = {one.model_id: one.name for one in self._library.catalogue.live()}
        return tuple(
            StillHeld(
                name=names.get(model_id, model_id[:12]),
                is_live=model_id in live,
                problem=self._control.problem_of(model_id) if model_id in live else None,
            )
            for model_id in sorted(told | live, key=lambda one: names.get(one, one))
        )
