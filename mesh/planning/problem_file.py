"""The planner's question as a file, "edge-mesh-problem/1": complete, readable, and the same numbers back.

JSON with the units in its keys. Layers here are the problem's (pieces of a model); `model` says
which operators they are made of, where that is known.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mesh.errors import UsageError
from mesh.ids import ModelId, NodeId
from mesh.planning.problem import Objective, PlanLink, PlanNode, Problem
from mesh.planning.strict_json import parse_object, read_as, to_plain

FORMAT = "edge-mesh-problem/1"
_WHAT = "the problem file"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelNote:
    """Which model the problem is about: layer i is the operators from `boundaries[i]` to the next.

    An empty `boundaries`: not known.
    """

    name: str = ""
    model_id: ModelId = ModelId("")
    boundaries: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.boundaries and self.boundaries[0] != 0:
            raise ValueError("boundaries must begin with 0")
        if any(one >= other for one, other in pairwise(self.boundaries)):
            raise ValueError("boundaries must increase")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverEntry:
    """One direction of a link; `goodput_bytes_per_s` null: bytes take no time."""

    receiver: NodeId
    goodput_bytes_per_s: float | None
    message_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderEntry:
    """The links of one sender."""

    sender: NodeId
    receivers: tuple[ReceiverEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemDocument:
    """A `Problem` in types that JSON has, with the same names, meanings and defaults.

    `latency_bound_s` null: no bound.
    """

    format: str
    model: ModelNote = ModelNote()
    objective: Objective = Objective.THROUGHPUT
    latency_bound_s: float | None = None
    min_stages: int = 1
    max_stages: int | None = None
    max_replicas: int | None = None
    required: tuple[NodeId, ...] = ()
    private_layers: int = 0
    private_nodes: tuple[NodeId, ...] = ()
    gateway: NodeId | None = None
    gateway_request_cpu_s: float = 0.0
    stage_memory_bytes: float = 0.0
    layer_memory_bytes: tuple[float, ...]
    boundary_bytes: tuple[int, ...]
    receive_memory_bytes: tuple[float, ...] = ()
    send_memory_bytes: tuple[float, ...] = ()
    nodes: tuple[PlanNode, ...]
    links: tuple[SenderEntry, ...]


def document_of(problem: Problem, *, model: ModelNote | None = None) -> ProblemDocument:
    """Everything that decides the plan, nodes in the problem's order, the rest sorted."""
    return ProblemDocument(
        format=FORMAT,
        model=model or ModelNote(),
        objective=problem.objective,
        latency_bound_s=_finite(problem.latency_bound_s),
        min_stages=problem.min_stages,
        max_stages=problem.max_stages,
        max_replicas=problem.max_replicas,
        required=tuple(sorted(problem.required)),
        private_layers=problem.private_layers,
        private_nodes=tuple(sorted(problem.private_nodes)),
        gateway=problem.gateway,
        gateway_request_cpu_s=problem.gateway_request_cpu_s,
        stage_memory_bytes=problem.stage_memory_bytes,
        layer_memory_bytes=problem.layer_memory_bytes,
        boundary_bytes=problem.boundary_bytes,
        receive_memory_bytes=problem.receive_memory_bytes,
        send_memory_bytes=problem.send_memory_bytes,
        nodes=problem.nodes,
        links=_sender_entries(problem.links),
    )


def problem_of(document: ProblemDocument) -> Problem:
    """The reverse, exactly. Raises: UsageError where the document contradicts itself."""
    try:
        return Problem(
            nodes=document.nodes,
            layer_memory_bytes=document.layer_memory_bytes,
            boundary_bytes=document.boundary_bytes,
            links=_links(document.links),
            gateway=document.gateway,
            gateway_request_cpu_s=document.gateway_request_cpu_s,
            stage_memory_bytes=document.stage_memory_bytes,
            receive_memory_bytes=document.receive_memory_bytes,
            send_memory_bytes=document.send_memory_bytes,
            min_stages=document.min_stages,
            max_stages=document.max_stages,
            max_replicas=document.max_replicas,
            required=frozenset(document.required),
            private_layers=document.private_layers,
            private_nodes=frozenset(document.private_nodes),
            latency_bound_s=_bound(document.latency_bound_s),
            objective=document.objective,
        )
    except ValueError as error:
        raise UsageError(f"{_WHAT} contradicts itself: {error}") from error


def write_problem(document: ProblemDocument) -> str:
    """As JSON: a line for each node and each sender, so that two files can be compared."""
    members = [f"{json.dumps(key)}: {_written(value)}" for key, value in to_plain(document).items()]
    return "{\n  " + ",\n  ".join(members) + "\n}\n"


def read_problem(text: str | bytes) -> ProblemDocument:
    """Parse a file. Raises: UsageError, which names the key."""
    return from_plain(parse_object(text, _WHAT))


def from_plain(raw: Mapping[str, Any]) -> ProblemDocument:
    """From parsed JSON. Raises: UsageError, which names the key."""
    if raw.get("format") != FORMAT:
        raise UsageError(f'{_WHAT} is not of the format "{FORMAT}"')
    document = read_as(ProblemDocument, raw, _WHAT)
    layers, boundaries = len(document.layer_memory_bytes), document.model.boundaries
    if boundaries and len(boundaries) != layers + 1:
        raise UsageError(f"{_WHAT}: model: boundaries must name {layers + 1} operators or none")
    return document


def _written(value: Any) -> str:
    """Lists of objects over several lines, everything else on one."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n    " + ",\n    ".join(_line(one) for one in value) + "\n  ]"
    return _line(value)


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _sender_entries(links: Mapping[tuple[NodeId, NodeId], PlanLink]) -> tuple[SenderEntry, ...]:
    by_sender: dict[NodeId, list[ReceiverEntry]] = {}
    for (sender, receiver), link in sorted(links.items(), key=lambda item: item[0]):
        entry = ReceiverEntry(
            receiver=receiver,
            goodput_bytes_per_s=_finite(link.goodput_bytes_per_s),
            message_s=link.message_s,
        )
        by_sender.setdefault(sender, []).append(entry)
    return tuple(
        SenderEntry(sender=sender, receivers=tuple(receivers))
        for sender, receivers in by_sender.items()
    )


def _links(senders: tuple[SenderEntry, ...]) -> dict[tuple[NodeId, NodeId], PlanLink]:
    links: dict[tuple[NodeId, NodeId], PlanLink] = {}
    for one in senders:
        for entry in one.receivers:
            if (one.sender, entry.receiver) in links:
                raise ValueError(f"the link from {one.sender} to {entry.receiver} is given twice")
            links[one.sender, entry.receiver] = PlanLink(
                goodput_bytes_per_s=_bound(entry.goodput_bytes_per_s), message_s=entry.message_s
            )
    return links


def _finite(number: float) -> float | None:
    return None if math.isinf(number) else number


def _bound(number: float | None) -> float:
    return math.inf if number is None else number
