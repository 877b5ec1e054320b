"""What clients ask and are told, as values; how they look as bytes, `payload` and `oip_reply` decide."""

from dataclasses import dataclass
from enum import Enum

from mesh.model.tensor import DataType, LayerRange

CONTENT_JSON = "application/json"
CONTENT_OIP_BINARY = "application/x-oip"
CONTENT_RAW = "application/octet-stream"
CONTENT_JPEG = "image/jpeg"
CONTENT_PNG = "image/png"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadLimits:
    """What a client may send; JSON is bounded further, by the size of the model's inputs."""

    max_payload_bytes: int = 64 << 20
    max_header_bytes: int = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUse:
    """The session that a request belongs to, by the client's name for it; `starts` begins it anew."""

    name: str
    starts: bool = False
    ends: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """One request, checked against the model.

    `inputs` are raw little-endian tensors in the model's input order; none at all only ends its
    session. `outputs` None means all.
    """

    id: str | None = None
    inputs: tuple[bytes, ...]
    outputs: tuple[str, ...] | None = None
    timeout_s: float | None = None
    binary_output: bool = False
    session: SessionUse | None = None

    @property
    def only_ends(self) -> bool:
        """Whether it computes nothing and lets its session go."""
        return not self.inputs


class ImageFormat(Enum):
    JPEG = "JPEG"
    PNG = "PNG"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePayload:
    """A picture by its magic number; nothing behind that is checked yet."""

    format: ImageFormat
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LikelyClass:
    """One of the likeliest classes of an output; `value` is the output's own at `index`."""

    index: int
    label: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputTensor:
    """One output as raw little-endian bytes; `classes`, the likeliest first, where they have labels."""

    name: str
    data_type: DataType
    shape: tuple[int, ...]
    data: bytes
    classes: tuple[LikelyClass, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTiming:
    """What one stage measured of a request: waiting for its turn, and computing."""

    node: str
    name: str
    layers: LayerRange
    queue_s: float
    compute_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """From the request's arrival at the gateway to the last stage's result there.

    `transfer_s` is the rest of `total_s`: all ways between nodes and the gateway's own queue. It is
    not told apart by hop, because that would compare clocks of different machines.
    """

    total_s: float
    transfer_s: float
    stages: tuple[StageTiming, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InferResponse:
    """An answer."""

    id: str | None
    model_name: str
    model_version: str
    outputs: tuple[OutputTensor, ...]
    timing: Timing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorReply:
    """The other answer: `code` is one of `mesh.errors`, `message` one sentence."""

    id: str | None
    model_name: str
    message: str
    code: str
    retryable: bool
    retry_after_s: float | None = None
