"""The planner's question as plain numbers: nodes, layers, links; nothing of TFLite or MQTT.

"Layer i" here is the i-th piece between neighbouring cut points that the planner may use, so a
problem of L layers has L + 1 boundaries: 0 is the request, L the reply.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from mesh.ids import NodeId
from mesh.model.tensor import LayerRange

LEAST, LARGEST = 1e-6, 1e18
"""Of what is divided by, and of any number: sums and quotients of thousands of them stay finite."""
MAX_NODES = 1024
MAX_LAYERS = 4096


class Objective(Enum):
    THROUGHPUT = "throughput"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanNode:
    """One candidate: `layer_s[i]` seconds for layer i, plus `stage_s` once per stage (copies, calls).

    None instead of seconds: it cannot run the layer, and no stage over it; `unable` says why.
    `name` is what sentences call it; empty = its id. `host_id` is shared by nodes on one machine,
    whose `host_cores` they share; empty = a machine of its own. While it computes, `threads` cores
    are busy: less than one where a CPU quota leaves it less. To send or to receive a frame of n
    bytes takes `message_cpu_s + n · byte_cpu_s` core-seconds; both 0 = not known. Raises: ValueError.
    """

    node_id: NodeId
    layer_s: tuple[float | None, ...]
    stage_s: float
    memory_bytes: float
    threads: float = 1
    host_id: str = ""
    host_cores: float = 1.0
    message_cpu_s: float = 0.0
    byte_cpu_s: float = 0.0
    name: str = ""
    unable: str = ""

    def __post_init__(self) -> None:
        _require_finite(f"layer_s of {self.node_id}", self.times_s)
        _require_finite(f"stage_s of {self.node_id}", [self.stage_s])
        _require_finite(f"memory_bytes of {self.node_id}", [self.memory_bytes])
        _require_finite(f"CPU costs of {self.node_id}", [self.message_cpu_s, self.byte_cpu_s])
        if not all(LEAST <= cores <= LARGEST for cores in (self.threads, self.host_cores)):
            raise ValueError(
                f"{self.node_id} needs threads and cores, {LEAST:g} to {LARGEST:g} of each"
            )

    @property
    def times_s(self) -> tuple[float, ...]:
        """`layer_s` with 0 for what it cannot run."""
        return tuple(0.0 if seconds is None else seconds for seconds in self.layer_s)

    def last_gap(self, layers: LayerRange) -> int | None:
        """The last of these layers that it cannot run; None where it can run them all."""
        inside = range(layers.stop - 1, layers.start - 1, -1)
        return next((layer for layer in inside if self.layer_s[layer] is None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLink:
    """One direction between two nodes: a frame of n bytes takes `message_s + n / goodput_bytes_per_s`.

    Raises: ValueError.
    """

    goodput_bytes_per_s: float
    message_s: float

    def __post_init__(self) -> None:
        _require_finite("message_s", [self.message_s])
        if not self.goodput_bytes_per_s >= LEAST:
            raise ValueError(
                f"goodput_bytes_per_s must be at least {LEAST:g}: leave a dead link out"
            )

    def transfer_s(self, size_bytes: int) -> float:
        return self.message_s + size_bytes / self.goodput_bytes_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is to be run, by whom, over which links, and what counts. A problem checks itself: ValueError.

    `boundary_bytes[b]` crosses boundary b: boundary 0 goes from the gateway to the first stage,
    boundary L from the last stage back to it. A node hands over to itself for free; without a link
    it cannot send to another. The `gateway` may be a node, or something that hosts no stage but
    has links; None = requests come in and replies go out for free, anywhere. Links of unknown
    nodes are ignored.

    A stage of layers [start, stop) takes `stage_memory_bytes` (interpreter, arena), the sum of its
    `layer_memory_bytes`, `receive_memory_bytes[start]` and `send_memory_bytes[stop]` (frames held
    at its two boundaries; empty = nothing), and fits when that is ≤ the node's `memory_bytes`.
    `min_stages` > 1 forces a pipeline; a stage has at most `max_replicas` nodes (None = any number).
    A client's request costs the gateway's node `gateway_request_cpu_s` core-seconds beside its frames.
    Every `required` node has a stage. Layers below `private_layers` run on `private_nodes` only.
    """

    nodes: tuple[PlanNode, ...]
    layer_memory_bytes: tuple[float, ...]
    boundary_bytes: tuple[int, ...]
    links: Mapping[tuple[NodeId, NodeId], PlanLink]
    gateway: NodeId | None
    stage_memory_bytes: float = 0
    receive_memory_bytes: tuple[float, ...] = ()
    send_memory_bytes: tuple[float, ...] = ()
    min_stages: int = 1
    max_stages: int | None = None
    max_replicas: int | None = None
    required: frozenset[NodeId] = frozenset()
    gateway_request_cpu_s: float = 0.0
    private_layers: int = 0
    private_nodes: frozenset[NodeId] = frozenset()
    latency_bound_s: float = math.inf
    objective: Objective = Objective.THROUGHPUT

    def __post_init__(self) -> None:
        self._check_sizes()
        self._check_limits()
        for what in ("layer_memory_bytes", "boundary_bytes"):
            _require_finite(what, getattr(self, what))
        for what in ("receive_memory_bytes", "send_memory_bytes"):
            _require_finite(what, getattr(self, what))
        _require_finite("stage_memory_bytes", [self.stage_memory_bytes])
        _require_finite("gateway_request_cpu_s", [self.gateway_request_cpu_s])

    def _check_sizes(self) -> None:
        if not 1 <= self.layers <= MAX_LAYERS:
            raise ValueError(f"a problem has 1 to {MAX_LAYERS} layers, not {self.layers}")
        if len(self.nodes) > MAX_NODES:
            raise ValueError(f"a problem has at most {MAX_NODES} nodes, not {len(self.nodes)}")
        if len({node.node_id for node in self.nodes}) < len(self.nodes):
            raise ValueError("two nodes of the problem have the same id")
        for node in self.nodes:
            if len(node.layer_s) != self.layers:
                raise ValueError(f"layer_s of {node.node_id} must name {self.layers} layers")
        if len(self.boundary_bytes) != self.layers + 1:
            raise ValueError(f"boundary_bytes must name {self.layers + 1} boundaries")
        for memory in (self.receive_memory_bytes, self.send_memory_bytes):
            if memory and len(memory) != self.layers + 1:
                raise ValueError(
                    f"receive_memory_bytes and send_memory_bytes name {self.layers + 1} boundaries or none"
                )

    def _check_limits(self) -> None:
        if any(sender == receiver for sender, receiver in self.links):
            raise ValueError("a node needs no link to itself")
        if self.min_stages < 1:
            raise ValueError("min_stages must be at least 1")
        if self.max_stages is not None and self.max_stages < self.min_stages:
            raise ValueError("max_stages must not be less than min_stages")
        if self.max_replicas is not None and self.max_replicas < 1:
            raise ValueError("max_replicas must be at least 1")
        if not 0 <= self.private_layers <= self.layers:
            raise ValueError("private_layers must lie between 0 and the number of layers")
        if not self.latency_bound_s > 0:
            raise ValueError("latency_bound_s must be more than 0")

    @property
    def layers(self) -> int:
        return len(self.layer_memory_bytes)

    def is_private_to_others(self, node_id: NodeId, layers: LayerRange) -> bool:
        """Whether the layers begin with private ones and the node is not among who may run them."""
        return layers.start < self.private_layers and node_id not in self.private_nodes

    def label(self, node_id: NodeId | None) -> str:
        """What sentences call a node."""
        if node_id is None:
            return "the gateway"
        names = {node.node_id: node.name for node in self.nodes}
        return names.get(node_id) or node_id


def _require_finite(what: str, values: Iterable[float]) -> None:
    told = [value for value in values if not 0 <= value <= LARGEST]
    if any(LARGEST < value < math.inf for value in told):
        raise ValueError(f"{what} must be at most {LARGEST:g}")
    if told:
        raise ValueError(f"{what} must not be negative, infinite or NaN")
