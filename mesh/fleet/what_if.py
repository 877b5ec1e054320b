"""From boards that are only supposed to the planner's question, and how far off its answer may be.

Times come from reference rates (`mesh.device.reference`), links from what the user says; nothing
here is measured. Boards beside live nodes are `mesh.fleet.joined`'s.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mesh.device.board_list import SupposedBoard
from mesh.device.load import Load
from mesh.device.profile import DeviceProfile, Network
from mesh.device.reference import Reference, reference_of
from mesh.errors import DeviceError, UsageError
from mesh.fleet.facts import INTERPRETER_BYTES
from mesh.ids import NodeId
from mesh.planning import PlanLink, PlanNode, Problem, Solution, evaluate, wording
from mesh.planning.pieces import Pieces

OUTSIDE = NodeId("gateway")
"""Who asks where no node is there: it has links, and runs no stage."""
GIGABIT_BYTES_PER_S = 117_500_000.0
"""What gigabit Ethernet carries of TCP: 940 Mbit/s."""
MQTT_SHARE, LEAST_SHARE, MOST_SHARE = 0.85, 0.55, 0.95
"""Of a link's TCP goodput that frames through mosquitto get, beside what they cost the processors.

Measured: 0.84 to 0.95 over 100 Mbit/s, 0.53 to 0.96 over 1 Gbit/s, costs included.
"""
MEASURED_STAGE_S = 1.3e-4
"""What a stage takes beside its operators on the measured board: bench/reference.py, 900 slices' median."""
MESSAGE_SHARE = 0.6
"""A message takes this share of what it costs the processors at both ends: some is done side by side.

Measured between two nodes of one machine: 0.35 ms of 0.56.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """The network that boards are supposed to share: TCP goodput, and what a message takes on its way."""

    goodput_bytes_per_s: float = GIGABIT_BYTES_PER_S
    latency_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposition:
    """A question of which part is supposed, and the same with all that is supposed slow, and fast.

    `notes` are sentences that say what was supposed.
    """

    problem: Problem
    slow: Problem
    fast: Problem
    notes: tuple[str, ...]


def supposed(
    boards: Sequence[SupposedBoard],
    pieces: Pieces,
    profiles: Sequence[DeviceProfile],
    *,
    wire: Wire,
) -> Supposition:
    """Nothing but these boards, and a client that asks from outside.

    Raises: UsageError where nothing is known of a board's speed.
    """
    references = [board_reference(board, profiles) for board in boards]
    whole = whole_load(pieces.loads)

    def problem(power: int, mqtt_share: float) -> Problem:
        nodes = [
            slowed(board_node(board, reference, pieces.loads), reference.factor(whole) ** power)
            for board, reference in zip(boards, references, strict=True)
        ]
        goodput_bytes_per_s = mqtt_share * wire.goodput_bytes_per_s
        links = _links(boards, nodes, replace(wire, goodput_bytes_per_s=goodput_bytes_per_s))
        return _problem(nodes, links, pieces)

    return Supposition(
        problem=problem(0, MQTT_SHARE),
        slow=problem(1, LEAST_SHARE),
        fast=problem(-1, MOST_SHARE),
        notes=(
            *_time_notes(boards, references, whole),
            *board_notes(boards),
            _wire_note(wire),
        ),
    )


def rate_range(supposition: Supposition, solution: Solution) -> tuple[float, float]:
    """Least and most requests per second of a plan: all that is supposed slow, or all fast."""
    plan = [(stage.node_ids, stage.layers) for stage in solution.stages]
    slow, fast = (
        evaluate(problem, plan).requests_per_s for problem in (supposition.slow, supposition.fast)
    )
    return slow, fast


def _problem(
    nodes: Sequence[PlanNode], links: Mapping[tuple[NodeId, NodeId], PlanLink], pieces: Pieces
) -> Problem:
    memory = pieces.memory_in(())
    held_bytes = tuple(2.0 * size_bytes for size_bytes in pieces.boundary_bytes)
    return Problem(
        nodes=tuple(nodes),
        layer_memory_bytes=memory.piece_bytes,
        boundary_bytes=pieces.boundary_bytes,
        links=links,
        gateway=OUTSIDE,
        stage_memory_bytes=memory.stage_bytes + INTERPRETER_BYTES,
        receive_memory_bytes=held_bytes,
        send_memory_bytes=held_bytes,
    )


def board_reference(board: SupposedBoard, profiles: Sequence[DeviceProfile]) -> Reference:
    """Raises: UsageError where nothing is known of its speed."""
    try:
        return reference_of(board.profile, profiles)
    except DeviceError as error:
        raise UsageError(str(error)) from error


def board_node(board: SupposedBoard, reference: Reference, loads: Sequence[Load]) -> PlanNode:
    """As fast as the reference says, alone on its machine."""
    return PlanNode(
        node_id=NodeId(board.name),
        name=board.name,
        layer_s=tuple(reference.seconds(load) for load in loads),
        stage_s=MEASURED_STAGE_S * reference.overhead,
        memory_bytes=room_bytes(board),
        threads=reference.threads,
        host_cores=float(board.profile.processor.cores or reference.threads),
        message_cpu_s=reference.message_cpu_s,
        byte_cpu_s=reference.byte_cpu_s,
    )


def room_bytes(board: SupposedBoard) -> int:
    """What a node there would give to stages."""
    return max(0, board.memory_bytes - board.profile.memory.reserved_bytes)


def board_notes(boards: Sequence[SupposedBoard]) -> list[str]:
    """What was supposed of their memory, and of ports that hold them back."""
    kinds = _kinds(boards)
    smallest = [
        f"{each.kind} {wording.size(each.memory_bytes)}" for each in kinds if each.is_smallest
    ]
    notes = []
    if smallest:
        notes.append(
            f"memory is the smallest that is sold, {wording.listed(smallest)}; a size after the "
            f"name supposes another, as {smallest[0].split(' ')[0]}@8gb"
        )
    for each in kinds:
        if each.is_guessed:
            notes.append(
                f"{each.kind} is supposed to have {wording.size(each.memory_bytes)} of memory; a "
                f"size after the name supposes another, as {each.kind}@8gb"
            )
        port_bytes_per_s = port_goodput(each.profile.network)
        if port_bytes_per_s < GIGABIT_BYTES_PER_S:
            port = "port" if each.profile.network.ethernet is not None else "Wi-Fi, its only port,"
            notes.append(f"{each.kind}'s {port} carries {wording.bit_rate(port_bytes_per_s)}")
    if sum(_is_on_wifi(board) for board in boards) > 1:
        notes.append("boards on one Wi-Fi take turns on the air, which is not counted here")
    return notes


def _is_on_wifi(board: SupposedBoard) -> bool:
    return board.profile.network.ethernet is None and board.profile.network.wifi is not None


def port_goodput(network: Network) -> float:
    """Bytes per second of the port it is likely to use, wired before Wi-Fi; ∞ where that is not known."""
    port = network.ethernet or network.wifi
    return math.inf if port is None or port.bytes_per_s is None else float(port.bytes_per_s)


def whole_load(loads: Iterable[Load]) -> Load:
    total: dict[tuple[str, str], float] = {}
    for load in loads:
        for kind, effort in load.items():
            total[kind] = total.get(kind, 0.0) + effort
    return total


def factor_range(factor: float) -> str:
    """As "×0.5 to ×2"."""
    return f"×{round(1 / factor, 2):g} to ×{round(factor, 2):g}"


def _time_notes(
    boards: Sequence[SupposedBoard], references: Sequence[Reference], whole: Load
) -> list[str]:
    """Kinds whose times come from the same place are told of together."""
    names: dict[tuple[str, str], dict[str, None]] = {}
    for board, reference in zip(boards, references, strict=True):
        told = (reference.basis, factor_range(reference.factor(whole)))
        names.setdefault(told, {})[board.kind] = None
    return [
        f"times of {wording.listed(list(kinds))} are {basis}: they may be off by {span}"
        for (basis, span), kinds in names.items()
    ]


def _wire_note(wire: Wire) -> str:
    return (
        f"links carry {wording.bit_rate(wire.goodput_bytes_per_s)}, or what a board's port does; "
        f"messages get {MQTT_SHARE:.0%} of it, and may get {LEAST_SHARE:.0%} to {MOST_SHARE:.0%}"
    )


def _kinds(boards: Iterable[SupposedBoard]) -> list[SupposedBoard]:
    """One board of each kind and size."""
    found: dict[tuple[str, int], SupposedBoard] = {}
    for board in boards:
        found.setdefault((board.kind, board.memory_bytes), board)
    return list(found.values())


def _links(
    boards: Sequence[SupposedBoard], nodes: Sequence[PlanNode], wire: Wire
) -> dict[tuple[NodeId, NodeId], PlanLink]:
    """Each to each, and both ways with whoever asks, whose own costs do not count."""
    ports = [port_goodput(board.profile.network) for board in boards]
    ends: list[tuple[NodeId, float, float, float]] = [
        (node.node_id, port, node.message_cpu_s, node.byte_cpu_s)
        for node, port in zip(nodes, ports, strict=True)
    ]
    ends.append((OUTSIDE, math.inf, 0.0, 0.0))
    links = {}
    for sender, port, message_s, byte_s in ends:
        for receiver, other_port, other_message_s, other_byte_s in ends:
            if sender != receiver:
                goodput = min(wire.goodput_bytes_per_s, port, other_port)
                links[sender, receiver] = PlanLink(
                    goodput_bytes_per_s=1 / (1 / goodput + byte_s + other_byte_s),
                    message_s=wire.latency_s + MESSAGE_SHARE * (message_s + other_message_s),
                )
    return links


def slowed(node: PlanNode, factor: float) -> PlanNode:
    """With all that it does taking so many times as long."""
    return replace(
        node,
        layer_s=tuple(None if one is None else one * factor for one in node.layer_s),
        stage_s=node.stage_s * factor,
        message_cpu_s=node.message_cpu_s * factor,
        byte_cpu_s=node.byte_cpu_s * factor,
    )
