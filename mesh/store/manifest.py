"""What the mesh knows of a model beside its bytes, and how two nodes' catalogues become one.

A manifest travels retained between nodes; the one written last wins, per name. Pure: files and
fetching are elsewhere.
"""

import math
import re
from dataclasses import dataclass, field
from enum import Enum

from mesh.errors import RemoteError, UsageError
from mesh.ids import ModelId, NodeId
from mesh.model.tensor import TensorSpec
from mesh.planning.wishes import Wishes
from mesh.wire import codec

MAX_MANIFEST_BYTES = 1 << 20
MAX_CATALOGUE_BYTES = 64 << 20
MAX_MODELS = 1024
MAX_LABELS = 8192
MAX_LABEL_CHARS = 128
MAX_TENSORS = 256
MAX_TENSOR_NAME_CHARS = 256
MAX_DIMENSIONS = 16
MAX_TENSOR_BYTES = 1 << 32

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NODE_ID = re.compile(r"[0-9a-f]{16}")


class ResizeMode(Enum):
    """How a picture gets the model's height and width."""

    STRETCH = "stretch"  # each axis on its own
    LETTERBOX = "letterbox"  # whole picture, black bars
    CROP = "crop"  # largest centred part of the model's proportions


class ChannelOrder(Enum):
    RGB = "RGB"
    BGR = "BGR"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """How a picture becomes the NHWC input: for float models, value = pixel · scale + offset.

    `pixel` is 0 to 255. Quantised inputs take pixels as they are (UINT8) or less 128 (INT8).
    """

    scale: float = 1.0 / 255.0
    offset: float = 0.0
    mode: ResizeMode = ResizeMode.STRETCH
    channels: ChannelOrder = ChannelOrder.RGB

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and math.isfinite(self.offset)) or self.scale == 0:
            raise ValueError("an image's scale and offset must be finite, and the scale not 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """A recorded run: inputs drawn from `seed`, outputs in the golden file of this size and hash.

    `draw` is the way of drawing; what says none was recorded with the first.
    """

    kernel_class: str
    seed: int
    sha256: str
    size_bytes: int
    draw: int = 1

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError("a golden file's sha256 has 64 lower-case hexadecimal digits")
        if not 0 < self.size_bytes <= MAX_TENSOR_BYTES or not 0 <= self.seed < 2**63:
            raise ValueError("a golden file's size or seed is out of bounds")
        if not 1 <= self.draw < 2**31:
            raise ValueError("a golden file's draw is out of bounds")
        if not 0 < len(self.kernel_class) <= 256:
            raise ValueError("a golden file's kernel class must be named")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelManifest:
    """One model under one name; `deleted` keeps the name's place so that nobody brings it back.

    `wishes` names nodes by their ids. `revision` counts this name's changes upwards, `writer` is
    the node that made the last one.
    """

    model_id: ModelId
    name: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    revision: int
    writer: NodeId
    wishes: Wishes = field(default_factory=Wishes)
    image: ImageOptions | None = None
    labels: tuple[str, ...] = ()
    golden: Golden | None = None
    deleted: bool = False

    def __post_init__(self) -> None:
        check_model_name(self.name, error=ValueError)
        check_model_id(self.model_id, error=ValueError)
        if not _NODE_ID.fullmatch(self.writer):
            raise ValueError("writer: a node id has 16 lower-case hexadecimal digits")
        if not 0 <= self.revision < 2**53 or not 0 < self.size_bytes < 2**53:
            raise ValueError("revision or size_bytes is out of bounds")
        if not all(_NODE_ID.fullmatch(one) for one in (*self.wishes.must, *self.wishes.never)):
            raise ValueError("wishes: a node id has 16 lower-case hexadecimal digits")
        _check_tensors("inputs", self.inputs)
        _check_tensors("outputs", self.outputs)
        _check_labels(self.labels)


def check_model_name(name: str, *, error: type[Exception] = UsageError) -> str:
    """Return a name that may stand in a topic, a URL and a file name. Raises: `error`."""
    if not _NAME.fullmatch(name) or name in {".", ".."}:
        raise error(
            f"model name {name!r:.80} is not usable: 1 to 64 letters, digits, '.', '_' or '-'"
        )
    return name


def check_model_id(text: str, *, error: type[Exception] = RemoteError) -> ModelId:
    """Return a text that is a content id. Raises: `error`."""
    if not _SHA256.fullmatch(text):
        raise error(f"{text!r:.80} is no model id: 64 lower-case hexadecimal digits are")
    return ModelId(text)


def _check_tensors(what: str, specs: tuple[TensorSpec, ...]) -> None:
    if not 0 < len(specs) <= MAX_TENSORS or len({spec.name for spec in specs}) != len(specs):
        raise ValueError(f"{what}: 1 to {MAX_TENSORS} tensors of different names are needed")
    for spec in specs:
        if not 0 < len(spec.name) <= MAX_TENSOR_NAME_CHARS or not 0 <= spec.index < 2**31:
            raise ValueError(f"{what}: a tensor's name or index is out of bounds")
        if len(spec.shape) > MAX_DIMENSIONS or any(not 0 < size < 2**32 for size in spec.shape):
            raise ValueError(f"{what}: the shape of {spec.name!r} is out of bounds")
        if spec.size_bytes > MAX_TENSOR_BYTES:
            raise ValueError(f"{what}: {spec.name!r} is too large")


def _check_labels(labels: tuple[str, ...]) -> None:
    if len(labels) > MAX_LABELS:
        raise ValueError(f"at most {MAX_LABELS} labels are allowed")
    for label in labels:
        if len(label) > MAX_LABEL_CHARS or not label.isprintable():
            raise ValueError(f"a label is printable and has at most {MAX_LABEL_CHARS} characters")


def encode(manifest: ModelManifest) -> bytes:
    """Canonical JSON: equal manifests give equal bytes."""
    return codec.encode(manifest)


def decode(payload: bytes) -> ModelManifest:
    """Read a manifest that a peer or a file gave. Raises: RemoteError."""
    return codec.decode(ModelManifest, payload, max_bytes=MAX_MANIFEST_BYTES)
