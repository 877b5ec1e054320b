"""Which nodes of a plan can take requests now, by what they say and whether they are here; pure."""

from collections.abc import Collection
from dataclasses import dataclass

from mesh.fleet.plans import status_of
from mesh.fleet.view import View
from mesh.ids import NodeId
from mesh.wire.documents import Plan, StageState


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A plan, and of each stage the nodes that can take requests: one at least."""

    plan: Plan
    usable: tuple[frozenset[NodeId], ...]

    def __post_init__(self) -> None:
        if len(self.usable) != len(self.plan.stages) or not all(self.usable):
            raise ValueError("a route needs a usable node for each stage")

    def shares(self, stage: int) -> dict[NodeId, float]:
        """The shares of the requests meant for the stage's usable nodes; in all at most 1."""
        replicas = self.plan.stages[stage].replicas
        return {r.node_id: r.share for r in replicas if r.node_id in self.usable[stage]}


def whole_route(plan: Plan) -> Route:
    """The plan with every node of it usable."""
    return Route(plan=plan, usable=tuple(frozenset(stage.node_ids) for stage in plan.stages))


def find_route(
    view: View, plan: Plan, *, present: Collection[NodeId], suspect: Collection[NodeId] = ()
) -> Route | None:
    """The nodes by which requests go; None while a stage has none that is present and has not failed.

    A replica that is suspect, or whose stage is not loaded, is passed by while another one is ready.
    """
    usable = tuple(
        _usable(view, plan, stage, frozenset(present), frozenset(suspect))
        for stage in range(len(plan.stages))
    )
    return Route(plan=plan, usable=usable) if all(usable) else None


def _usable(
    view: View, plan: Plan, stage: int, present: frozenset[NodeId], suspect: frozenset[NodeId]
) -> frozenset[NodeId]:
    states = {n: _state(view, plan, stage, n) for n in plan.stages[stage].node_ids if n in present}
    possible = frozenset(n for n, state in states.items() if state is not StageState.FAILED)
    ready = frozenset(n for n in possible if states[n] is StageState.READY)
    return ready - suspect or ready or possible


def _state(view: View, plan: Plan, stage: int, node_id: NodeId) -> StageState | None:
    status = status_of(view, plan, stage, node_id)
    return status.state if status is not None else None
