"""The planner's question of a live mesh with supposed boards added, as if they were there already.

A board's times are those that live nodes measured, times the ratio of the two boards' references:
surer than the references alone. Links are like the live ones.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mesh.device.board_list import SupposedBoard
from mesh.device.load import Load
from mesh.device.profile import DeviceProfile
from mesh.device.reference import Reference, reference_of
from mesh.errors import DeviceError
from mesh.fleet.what_if import (
    GIGABIT_BYTES_PER_S,
    LEAST_SHARE,
    MOST_SHARE,
    MQTT_SHARE,
    Supposition,
    board_node,
    board_notes,
    board_reference,
    factor_range,
    port_goodput,
    room_bytes,
    slowed,
    whole_load,
)
from mesh.ids import NodeId
from mesh.planning import PlanLink, PlanNode, Problem, wording

SAME_BOARD_FACTOR = 1.15
"""Two boards of one kind differ by their cooling, their clock and their luck."""
LEAST_RATIO_FACTOR = 1.3
"""Between boards of different kinds, however good their references are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _LiveNode:
    """A node whose measured times can stand for a board's; without a reference for its own kind only."""

    node: PlanNode
    profile: DeviceProfile
    reference: Reference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Added:
    """A supposed node, how far off its times may be, and where they come from."""

    node: PlanNode
    factor: float
    basis: str


def joined(
    problem: Problem,
    boards: Sequence[SupposedBoard],
    loads: Sequence[Load],
    profiles: Sequence[DeviceProfile],
    *,
    live_profiles: Mapping[NodeId, str],
) -> Supposition:
    """With these boards added, called "+pi5-1"; `live_profiles` names the live nodes' profiles.

    Raises: UsageError where nothing is known of a board's speed.
    """
    live = _live_nodes(problem, profiles, live_profiles)
    usual = _usual_link(problem)
    added = [
        _added(replace(board, name=f"+{board.name}"), live, loads, profiles) for board in boards
    ]

    def question(power: int, mqtt_share: float) -> Problem:
        nodes = [slowed(each.node, each.factor**power) for each in added]
        links = _links(problem, boards, nodes, usual or _gigabit(mqtt_share))
        return replace(problem, nodes=(*problem.nodes, *nodes), links=links)

    notes = (
        f"times of {board.kind} are {each.basis}: they may be off by {factor_range(each.factor)}"
        for board, each in zip(boards, added, strict=True)
    )
    return Supposition(
        problem=question(0, MQTT_SHARE),
        slow=question(1, LEAST_SHARE),
        fast=question(-1, MOST_SHARE),
        notes=(
            *dict.fromkeys(notes),
            *board_notes(boards),
            _link_note(usual),
        ),
    )


def _live_nodes(
    problem: Problem, profiles: Sequence[DeviceProfile], live_profiles: Mapping[NodeId, str]
) -> list[_LiveNode]:
    known = {profile.name: profile for profile in profiles}
    found = []
    for node in problem.nodes:
        profile = known.get(live_profiles.get(node.node_id, ""))
        if profile is not None:
            reference = _reference_or_none(profile, profiles)
            found.append(_LiveNode(node=node, profile=profile, reference=reference))
    return found


def _reference_or_none(
    profile: DeviceProfile, profiles: Sequence[DeviceProfile]
) -> Reference | None:
    try:
        return reference_of(profile, profiles)
    except DeviceError:
        return None


def _added(
    board: SupposedBoard,
    live: Sequence[_LiveNode],
    loads: Sequence[Load],
    profiles: Sequence[DeviceProfile],
) -> _Added:
    same = [each.node for each in live if each.profile.name == board.profile.name]
    if same:
        node = _like(
            board,
            same,
            threads=same[0].threads,
            cores=statistics.median(one.host_cores for one in same),
        )
        basis = f"those that {_names(same)} measured, the same kind of board"
        return _Added(node=node, factor=SAME_BOARD_FACTOR, basis=basis)
    reference, whole = board_reference(board, profiles), whole_load(loads)
    models = [each for each in live if each.reference is not None]
    if not models:
        node = board_node(board, reference, loads)
        return _Added(node=node, factor=reference.factor(whole), basis=reference.basis)
    scaled = [_scaled(each, reference, loads) for each in models]
    return _Added(
        node=_like(board, scaled, threads=reference.threads, cores=reference.threads),
        factor=_ratio_factor(reference, models, whole),
        basis=f"what {_names([each.node for each in models])} measured, by the ratio of the "
        "boards' reference times",
    )


def _like(
    board: SupposedBoard, models: Sequence[PlanNode], *, threads: float, cores: float
) -> PlanNode:
    """The medians of what the models take; None where none of them can run a layer."""
    return PlanNode(
        node_id=NodeId(board.name),
        name=board.name,
        layer_s=tuple(
            _median(times) for times in zip(*(one.layer_s for one in models), strict=True)
        ),
        stage_s=statistics.median(one.stage_s for one in models),
        memory_bytes=room_bytes(board),
        threads=threads,
        host_cores=float(board.profile.processor.cores or cores),
        message_cpu_s=statistics.median(one.message_cpu_s for one in models),
        byte_cpu_s=statistics.median(one.byte_cpu_s for one in models),
        unable=next((one.unable for one in models if one.unable), ""),
    )


def _scaled(model: _LiveNode, reference: Reference, loads: Sequence[Load]) -> PlanNode:
    """The live node as if it were as fast as the board."""
    own = model.reference or reference
    overhead = reference.overhead / own.overhead
    return replace(
        model.node,
        layer_s=tuple(
            seconds
            if seconds is None or own.seconds(load) <= 0
            else seconds * reference.seconds(load) / own.seconds(load)
            for seconds, load in zip(model.node.layer_s, loads, strict=True)
        ),
        stage_s=model.node.stage_s * overhead,
        message_cpu_s=model.node.message_cpu_s * overhead,
        byte_cpu_s=model.node.byte_cpu_s * overhead,
    )


def _names(nodes: Sequence[PlanNode]) -> str:
    return wording.listed([node.name or node.node_id for node in nodes])


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _ratio_factor(reference: Reference, models: Sequence[_LiveNode], whole: Load) -> float:
    """Between two boards scaled by one source's times, what that source does differently cancels out."""
    factor = reference.factor(whole)
    if reference.is_scaled and all(each.reference and each.reference.is_scaled for each in models):
        factor = math.sqrt(factor)
    return max(LEAST_RATIO_FACTOR, factor)


def _usual_link(problem: Problem) -> PlanLink | None:
    """The median of the live links between machines; None where there is none."""
    hosts = {node.node_id: node.host_id or node.node_id for node in problem.nodes}
    links = [
        link
        for (sender, receiver), link in problem.links.items()
        if hosts.get(sender, sender) != hosts.get(receiver, receiver)
    ]
    if not links:
        return None
    return PlanLink(
        goodput_bytes_per_s=statistics.median(link.goodput_bytes_per_s for link in links),
        message_s=statistics.median(link.message_s for link in links),
    )


def _links(
    problem: Problem, boards: Sequence[SupposedBoard], nodes: Sequence[PlanNode], link: PlanLink
) -> dict[tuple[NodeId, NodeId], PlanLink]:
    """The live links, and both ways between each supposed node and everybody, as its port allows."""
    links = dict(problem.links)
    ends = {node.node_id for node in problem.nodes} | {problem.gateway} - {None}
    ports = {}
    for board, node in zip(boards, nodes, strict=True):
        ports[node.node_id] = MQTT_SHARE * port_goodput(board.profile.network)
        for end in sorted(one for one in ends if one is not None):
            most = min(ports[node.node_id], ports.get(end, math.inf), link.goodput_bytes_per_s)
            both = PlanLink(goodput_bytes_per_s=most, message_s=link.message_s)
            links[node.node_id, end] = links[end, node.node_id] = both
        ends.add(node.node_id)
    return links


def _gigabit(mqtt_share: float) -> PlanLink:
    """What is supposed where a mesh has no link between two machines to go by."""
    return PlanLink(goodput_bytes_per_s=GIGABIT_BYTES_PER_S * mqtt_share, message_s=1e-3)


def _link_note(usual: PlanLink | None) -> str:
    link = usual or _gigabit(MQTT_SHARE)
    told = (
        f"{wording.bit_rate(link.goodput_bytes_per_s)} and {wording.duration(link.message_s)} "
        "a message"
    )
    if usual is None:
        return f"no link between two machines is measured here: new ones are to carry {told}"
    return f"new links are like the median of the live ones: {told}"
