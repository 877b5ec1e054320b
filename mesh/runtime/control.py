"""What the daemon and an interpreter's process say to each other; the tensors travel beside it.

The daemon sends one `LoadRequest`, then `INVOKE` as often as it likes; the child answers each with
one `Reply`. One message is one packet of a SOCK_SEQPACKET pair, so there is no framing.
"""

import json
import math
import struct
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any

from mesh.model.tensor import DataType, TensorSpec

INVOKE = b"invoke"
MAX_MESSAGE_BYTES = 64 << 10
"""Fits the kernel's default socket buffer (net.core.wmem_default, 212,992 bytes) with room."""
MAX_TEXT_BYTES = 2048

_REPLY = struct.Struct("<Bdd")


class Package(Enum):
    """The interpreters that can be used; the value is the module that holds `Interpreter`."""

    LITERT = "ai_edge_litert.interpreter"
    TFLITE = "tflite_runtime.interpreter"


class ReplyKind(IntEnum):
    DONE = 0
    REFUSED = 1  # the file, or its tensors, cannot be used
    FAILED = 2  # this invoke failed, the next may not
    NO_RUNTIME = 3  # the package cannot be imported
    NO_MEMORY = 4  # it takes more memory than it may: a refusal at the load, a failure later


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """What to load; `memory_bytes` = what that may take beyond the bare process, None = no bound."""

    package: Package
    path: str
    threads: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    use_xnnpack: bool = True
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How a command went; `text` is the interpreter's complaint.

    `compute_s` is the time inside the interpreter, `processor_s` what its process has used since the
    reply before, with all threads and copies.

    To a load that is DONE, `text` says why system calls are not filtered, and is empty if they are.
    """

    kind: ReplyKind
    compute_s: float = 0.0
    processor_s: float = 0.0
    text: str = ""


def encode_load(request: LoadRequest) -> bytes:
    """Raises: ValueError when the message would be longer than `MAX_MESSAGE_BYTES`."""
    document = {
        "package": request.package.value,
        "path": request.path,
        "threads": request.threads,
        "inputs": [_tensor_document(spec) for spec in request.inputs],
        "outputs": [_tensor_document(spec) for spec in request.outputs],
        "use_xnnpack": request.use_xnnpack,
        "memory_bytes": request.memory_bytes,
    }
    message = json.dumps(document, separators=(",", ":")).encode()
    if len(message) > MAX_MESSAGE_BYTES:
        raise ValueError(f"{len(request.inputs)} inputs and {len(request.outputs)} outputs")
    return message


def decode_load(message: bytes) -> LoadRequest:
    document = json.loads(message)
    return LoadRequest(
        package=Package(document["package"]),
        path=document["path"],
        threads=document["threads"],
        inputs=tuple(_tensor(each) for each in document["inputs"]),
        outputs=tuple(_tensor(each) for each in document["outputs"]),
        use_xnnpack=document["use_xnnpack"],
        memory_bytes=document["memory_bytes"],
    )


def _tensor_document(spec: TensorSpec) -> list[Any]:
    # The index names the tensor well enough here, and names of a hostile model may be long.
    return [spec.index, spec.data_type.value, list(spec.shape)]


def _tensor(document: list[Any]) -> TensorSpec:
    index, data_type, shape = document
    return TensorSpec(index=index, name="", data_type=DataType(data_type), shape=tuple(shape))


def encode_reply(reply: Reply) -> bytes:
    text = reply.text.encode("utf-8", "replace")[:MAX_TEXT_BYTES]
    return _REPLY.pack(reply.kind, reply.compute_s, reply.processor_s) + text


def decode_reply(message: bytes) -> Reply:
    """Raises: ValueError, since a child with damaged memory may say anything."""
    try:
        kind, compute_s, processor_s = _REPLY.unpack_from(message)
    except struct.error as error:
        raise ValueError(f"a reply of {len(message)} bytes") from error
    if not (0 <= compute_s < math.inf and 0 <= processor_s < math.inf):
        raise ValueError(f"a run of {compute_s} s, {processor_s} s of processor time")
    text = message[_REPLY.size :].decode("utf-8", "replace")
    return Reply(kind=ReplyKind(kind), compute_s=compute_s, processor_s=processor_s, text=text)
