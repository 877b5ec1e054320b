"""An error as it travels: code, sentence, and whether the same request may succeed later."""

from dataclasses import dataclass

from mesh.errors import MeshError
from mesh.wire import codec

MAX_MESSAGE_CHARS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What an error reply and an ERROR frame say."""

    code: str
    message: str
    retryable: bool


def refusal_of(error: BaseException) -> Refusal:
    """An error of the mesh as it is; of anything else only that it happened."""
    if isinstance(error, MeshError):
        return Refusal(
            code=error.code, message=str(error)[:MAX_MESSAGE_CHARS], retryable=error.retryable
        )
    return Refusal(
        code="INTERNAL",
        message=f"a fault in the node ({type(error).__name__}): its log has the details",
        retryable=False,
    )


def encode(refusal: Refusal) -> bytes:
    return codec.encode(refusal)


def decode(payload: bytes) -> Refusal:
    """Raises: RemoteError."""
    return codec.decode(Refusal, payload, max_bytes=16 << 10)
