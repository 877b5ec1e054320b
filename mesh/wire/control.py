"""What `mesh` asks of a node and is told: requests and replies of the control service.

A reply is `{"id", "status": "ok", "body": …}` or an error reply like that of inference.
"""

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from mesh.errors import MeshError, RemoteError
from mesh.ids import ModelId, NodeId
from mesh.model.tensor import TensorSpec
from mesh.planning.wishes import Wishes
from mesh.wire import codec
from mesh.wire.documents import Activity, NodeState, StageState
from mesh.wire.infer import ErrorReply
from mesh.wire.oip_reply import as_error, encode_error

MAX_CONTROL_BYTES = 4 << 20
STATUS_SCHEMA_VERSION = 1

T = TypeVar("T")


class Verb(Enum):
    STATUS = "status"
    PLAN = "plan"
    MODEL_ADD = "model-add"
    MODEL_REMOVE = "model-remove"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRequest:
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageWish:
    """How pictures become the input; the defaults scale 0…255 to 0…1 and stretch."""

    scale: float = 1.0 / 255.0
    offset: float = 0.0
    mode: str = "stretch"
    channels: str = "RGB"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddModelRequest:
    """Serve a file that was uploaded before. `replace` allows a name to change its file.

    `wishes` may call nodes by name or id; without an owner, private layers are the asked node's.
    """

    model_id: ModelId
    name: str
    wishes: Wishes = field(default_factory=Wishes)
    image: ImageWish | None = None
    labels: tuple[str, ...] = ()
    replace: bool = False
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddModelReply:
    """`cuts` is the number of places where the model may be cut; `uncuttable` says why there are none."""

    name: str
    model_id: ModelId
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: int
    cuts: int
    uncuttable: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveModelRequest:
    name: str
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveModelReply:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainRequest:
    """Leave this node empty, or with `undo` use it again; asked again, it tells how far it is."""

    node_id: NodeId
    undo: bool = False
    id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StillHeld:
    """A model of which the node holds a stage: of the live plan, or for what is still under way.

    `problem` says why there is no live plan without the node.
    """

    name: str
    is_live: bool
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainReply:
    """The node is empty when `held` is."""

    node_id: NodeId
    state: NodeState
    held: tuple[StillHeld, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """One node as the asked node sees it; None where it has not said."""

    node_id: NodeId
    name: str
    board: str
    state: str
    is_coordinator: bool
    load_1min: float | None
    temperature_c: float | None
    throttled: bool | None
    memory_available_bytes: int | None
    broker_url: str
    broker_kind: str
    http_url: str
    runtime: str
    threads: int
    version: str
    stages_resident_bytes: int
    activities: tuple[Activity, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaLine:
    """A node of a stage of the live plan, and what it says of it."""

    node_id: NodeId
    node_name: str
    share: float
    compute_s: float
    transfer_s: float
    resident_bytes: int
    state: StageState | None
    measured_compute_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLine:
    """A stage of the live plan."""

    start: int
    stop: int
    replicas: tuple[ReplicaLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """One model with its live plan; `stages` is empty while there is none."""

    name: str
    model_id: ModelId
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    state: str
    epoch: int | None
    stages: tuple[StageLine, ...]
    bottleneck: str | None
    bottleneck_s: float | None
    latency_s: float | None
    single_node_s: float | None
    verdict: str | None
    problem: str | None
    held_by: int
    requests_per_s: float
    p50_s: float | None
    p95_s: float | None
    answered: int
    failed: int
    in_flight: int
    queued: int
    sessions: int = 0
    optimal: bool | None = None
    gap: float | None = None
    reason: str = ""

    @property
    def replicas(self) -> tuple[ReplicaLine, ...]:
        """The nodes of all stages, in order."""
        return tuple(replica for stage in self.stages for replica in stage.replicas)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReply:
    """The whole mesh as one node sees it. `notes` are health notes in words."""

    schema_version: int
    mesh_name: str
    asked: NodeId
    nodes: tuple[NodeStatus, ...]
    models: tuple[ModelStatus, ...]
    notes: tuple[str, ...]


def encode_reply(request_id: str | None, body: Any) -> bytes:
    root = {"id": request_id, "status": "ok", "body": codec.to_plain(body)}
    return json.dumps(root, separators=(",", ":"), allow_nan=False).encode()


def encode_refusal(request_id: str | None, error: MeshError) -> bytes:
    return encode_error(
        ErrorReply(
            id=request_id,
            model_name="",
            message=str(error),
            code=error.code,
            retryable=error.retryable,
        )
    )


def decode_reply(kind: type[T], payload: bytes) -> T:
    """The body, or the error that was replied, raised. Raises: MeshError, RemoteError."""
    if len(payload) > MAX_CONTROL_BYTES:
        raise RemoteError(f"a control reply of {len(payload)} bytes")
    try:
        root = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise RemoteError(f"a control reply is not JSON: {error}") from error
    if not isinstance(root, dict):
        raise RemoteError("a control reply is not an object")
    if root.get("status") != "ok":
        raise as_error(
            ErrorReply(
                id=None,
                model_name="",
                message=str(root.get("error", "the node gave no reason"))[:2000],
                code=str(root.get("code", "INTERNAL"))[:64],
                retryable=root.get("retryable") is True,
            )
        )
    return codec.from_plain(kind, root.get("body"))


def reply_id_of(payload: bytes) -> str | None:
    """The `id` of a reply, None where there is none to be read."""
    try:
        root = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    found = root.get("id") if isinstance(root, dict) else None
    return found if isinstance(found, str) else None
