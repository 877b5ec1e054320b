"""One model's queue and window at a gateway, and who of its first stage has how much under way; decides no retries."""

from collections import Counter, deque
from dataclasses import dataclass, field

from mesh.fleet.reconcile import WINDOW_PER_NODE
from mesh.fleet.routes import Route
from mesh.ids import NodeId, RequestKey
from mesh.pipeline.replica_choice import Turns, first_done
from mesh.pipeline.request import Request
from mesh.pipeline.statistics import Statistics
from mesh.pipeline.ways import NO_WAY, node_on, open_ways, retry_way


@dataclass(slots=True, kw_only=True)
class ModelLane:
    """Without a route, requests are refused unless they `may_wait` for one."""

    route: Route | None = None
    may_wait: bool = False
    waiting: deque[RequestKey] = field(default_factory=deque)
    in_flight: int = 0
    sent_to: Counter[NodeId] = field(default_factory=Counter)
    sessions: Turns[int] = field(default_factory=Turns)
    statistics: Statistics = field(default_factory=Statistics)

    def take_in(self, request: Request) -> None:
        """The request takes its place in the window."""
        self.in_flight += _weight(request)

    def let_go(self, request: Request) -> None:
        """The request is not under way any more."""
        self.in_flight -= _weight(request)
        self._left(request)

    def send(self, request: Request, route: Route) -> NodeId:
        """Choose the way of an attempt: another one than the last. Returns who of stage 0 gets it."""
        last = request.sent_to
        self._left(request)
        request.way = self._way(request, route)
        chosen = self._first(request, route, last)
        request.sent_to = chosen
        self.sent_to[chosen] += _weight(request)
        return chosen

    def can_begin(self, request: Request) -> bool:
        """Whether the first step of a session has a way to keep to; any other request does."""
        is_bound = request.step is None or request.pinned is not None
        return is_bound or (self.route is not None and bool(open_ways(self.route)))

    def _way(self, request: Request, route: Route) -> int:
        if request.is_check or (request.step is not None and request.pinned is not None):
            return request.way
        if request.step is not None:
            return self.sessions.next(open_ways(route))
        if request.attempt > 1:
            return retry_way(route.plan, request.key, request.attempt)
        return NO_WAY

    def _first(self, request: Request, route: Route, last: NodeId | None) -> NodeId:
        if request.is_check or request.step is not None:
            return node_on(route.plan.stages[0], request.way)
        shares = route.shares(0)
        others = {node_id: share for node_id, share in shares.items() if node_id != last}
        return first_done(others or shares, self.sent_to, enough=WINDOW_PER_NODE)

    def _left(self, request: Request) -> None:
        if request.sent_to is not None:
            self.sent_to[request.sent_to] -= _weight(request)
            request.sent_to = None


def _weight(request: Request) -> int:
    """What a request takes of the window: a golden check that hangs must not cost the live plan."""
    return 0 if request.is_check else 1
