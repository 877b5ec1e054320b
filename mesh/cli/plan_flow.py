"""Lets requests flow through a plan on paper: who is busy with which one from when to when; pure.

The figures are the planner's: a request comes every `bottleneck_s`, the nodes of a stage take turns
by their shares, and each node and each way in serves one request after another. Where a node's
messages keep its processor, they do so after the compute.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from mesh.cli.plan_bottleneck import occupied_s
from mesh.wire.planned import PlannedNode, PlanOption

MIN_SHOWN, MAX_SHOWN, MAX_REQUESTS = 5, 10, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From `start_s` to `stop_s` with a request, which count from 0."""

    request: int
    start_s: float
    stop_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One node of a stage: what comes in, and what it computes."""

    stage: int
    node: PlannedNode
    ways_in: tuple[Span, ...]
    computes: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """`replies_s[i]` is when request i is answered; the picture ends at `end_s`, other requests go on."""

    lanes: tuple[Lane, ...]
    ways_out: tuple[Span, ...]
    replies_s: tuple[float, ...]
    end_s: float


@dataclass(slots=True, kw_only=True)
class _Server:
    """Something that serves one request after another."""

    free_s: float = 0.0
    spans: list[Span] = field(default_factory=list)

    def serve(self, request: int, ready_s: float, duration_s: float, after_s: float = 0.0) -> float:
        """When it is done; it takes the request as soon as it is free, and rests `after_s`."""
        start_s = max(ready_s, self.free_s)
        stop_s = start_s + duration_s
        self.free_s = stop_s + after_s
        self.spans.append(Span(request=request, start_s=start_s, stop_s=stop_s))
        return stop_s


def flow(option: PlanOption) -> Flow:
    """Up to the answer of a request by which the plan is at full pace; later ones keep it there."""
    shown = _shown(option)
    end_s = shown * option.bottleneck_s + option.latency_s
    ready_s = [i * option.bottleneck_s for i in range(_coming(option, end_s))]
    lanes: list[Lane] = []
    last: list[PlannedNode] = []
    for i, stage in enumerate(option.stages):
        ready_s, last = _pass_stage(i, stage.replicas, ready_s, lanes)
    out = _Server()
    replies_s = [0.0] * len(ready_s)
    for request in _in_order(ready_s):
        replies_s[request] = out.serve(request, ready_s[request], last[request].send_s)
    return Flow(
        lanes=tuple(lanes),
        ways_out=tuple(out.spans),
        replies_s=tuple(replies_s),
        end_s=sorted(replies_s)[shown - 1],
    )


def _shown(option: PlanOption) -> int:
    """How many requests are seen from their beginning to their end."""
    return min(MAX_SHOWN, max(MIN_SHOWN, 2 * max(len(one.replicas) for one in option.stages)))


def _coming(option: PlanOption, end_s: float) -> int:
    if option.bottleneck_s <= 0:
        return MIN_SHOWN
    return min(MAX_REQUESTS, math.ceil(end_s / option.bottleneck_s) + 1)


def _pass_stage(
    i: int, nodes: Sequence[PlannedNode], ready_s: Sequence[float], lanes: list[Lane]
) -> tuple[list[float], list[PlannedNode]]:
    """When each request has left the stage, and the node that ran it."""
    ways_in, computes = [_Server() for _ in nodes], [_Server() for _ in nodes]
    credit = [0.0] * len(nodes)
    done_s, ran_on = list(ready_s), [nodes[0]] * len(ready_s)
    for request in _in_order(ready_s):
        credit = [left + node.share for left, node in zip(credit, nodes, strict=True)]
        turn = max(range(len(nodes)), key=lambda j: (credit[j], -j))
        credit[turn] -= 1.0
        node = nodes[turn]
        here_s = ways_in[turn].serve(request, ready_s[request], node.receive_s)
        messages_s = occupied_s(node) - node.compute_s
        done_s[request] = computes[turn].serve(request, here_s, node.compute_s, messages_s)
        ran_on[request] = node
    lanes += [
        Lane(stage=i, node=node, ways_in=tuple(way_in.spans), computes=tuple(compute.spans))
        for node, way_in, compute in zip(nodes, ways_in, computes, strict=True)
    ]
    return done_s, ran_on


def _in_order(ready_s: Sequence[float]) -> list[int]:
    return sorted(range(len(ready_s)), key=lambda request: (ready_s[request], request))
