r"""The golden file: a model's expected raw outputs in one small container that knows its own hash.

Layout, little-endian: magic "EMGOLD\0\1", u32 count, count × u64 sizes in bytes, the outputs one
after the other, SHA-256 of all before it.
"""

import hashlib
import struct
from collections.abc import Sequence

from mesh.errors import IntegrityError

MAGIC = b"EMGOLD\x00\x01"
MAX_OUTPUTS = 256
_HASH_BYTES = 32


def encode(outputs: Sequence[bytes]) -> bytes:
    """Pack the outputs in model order."""
    sizes = struct.pack(f"<I{len(outputs)}Q", len(outputs), *map(len, outputs))
    body = b"".join([MAGIC, sizes, *outputs])
    return body + hashlib.sha256(body).digest()


def decode(container: bytes) -> tuple[bytes, ...]:
    """Unpack the outputs. Raises: IntegrityError when the container is damaged."""
    body = memoryview(container)[:-_HASH_BYTES]
    if hashlib.sha256(body).digest() != container[len(body) :]:
        raise IntegrityError("The golden file is damaged: its hash is not that of its content")
    if len(body) < len(MAGIC) + 4 or body[: len(MAGIC)] != MAGIC:
        raise IntegrityError("The golden file is of another format")
    return _outputs(body[len(MAGIC) :])


def _outputs(body: memoryview) -> tuple[bytes, ...]:
    (count,) = struct.unpack_from("<I", body)
    offset_bytes = 4 + 8 * count
    if count > MAX_OUTPUTS or offset_bytes > len(body):
        raise IntegrityError("The golden file names more outputs than it has")
    sizes = struct.unpack_from(f"<{count}Q", body, 4)
    if offset_bytes + sum(sizes) != len(body):
        raise IntegrityError("The golden file's outputs have not the sizes that it names")
    outputs = []
    for size in sizes:
        outputs.append(bytes(body[offset_bytes : offset_bytes + size]))
        offset_bytes += size
    return tuple(outputs)
