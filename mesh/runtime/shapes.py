"""Has an interpreter say the shape of every tensor of a file, in a process of its own.

Which inputs get which shape, and what becomes of the answer, `mesh.model.rewrite` decides.
"""

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mesh
from mesh.errors import ChildDiedError, ChildHungError, DeviceError, UnsupportedModelError
from mesh.runtime.control import Package
from mesh.runtime.detect import choose_package, installed_version
from mesh.runtime.process import clean, describe_exit

MAX_REPLY_BYTES = 16 << 20
_READ_BYTES = 1 << 16
_REAP_S = 5.0
_MAX_SIZE = (1 << 31) - 1  # schema.fbs, Tensor.shape: [int]

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredShapes:
    """One shape per tensor, None where it stays open; the contents that were asked for, by index."""

    shapes: tuple[Shape | None, ...]
    contents: Mapping[int, bytes]


def infer_shapes(
    path: Path,
    inputs: Mapping[int, Shape],
    *,
    tensors: int,
    contents_of: Sequence[int],
    timeout_s: float,
    memory_bytes: int | None = None,
    package: Package | None = None,
) -> InferredShapes:
    """Resize all inputs, allocate once, run once on zeros, and read the shapes of `tensors` tensors.

    `contents_of` are outputs of the file; `package` None is the first that is installed. Raises:
    UnsupportedModelError when the interpreter refuses the file or the shapes, ChildDiedError,
    ChildHungError, DeviceError.
    """
    package = package or choose_package("auto", installed_version)
    request = {
        "package": package.value,
        "path": str(path.absolute()),
        "inputs": [[index, list(shape)] for index, shape in inputs.items()],
        "tensors": tensors,
        "contents_of": list(contents_of),
        "memory_bytes": memory_bytes,
    }
    reply = _ask(json.dumps(request).encode(), timeout_s)
    if "refused" in reply:
        raise UnsupportedModelError(
            f"the interpreter refuses {path.name} in these shapes: {clean(str(reply['refused']))}"
        )
    if "missing" in reply:
        raise DeviceError(f"{package.value} cannot be imported: {clean(str(reply['missing']))}")
    return _inferred(reply, tensors, contents_of)


def _inferred(
    reply: Mapping[str, object], tensors: int, contents_of: Sequence[int]
) -> InferredShapes:
    """Raises: ChildDiedError; a process with damaged memory may say anything."""
    match reply:
        case {"shapes": list(shapes), "contents": list(contents)}:
            pass
        case _:
            shapes, contents = [], []
    if len(shapes) != tensors or len(contents) != len(contents_of):
        raise _nonsense()
    try:
        return InferredShapes(
            shapes=tuple(None if shape is None else _sizes(shape) for shape in shapes),
            contents={
                index: bytes.fromhex(content)
                for index, content in zip(contents_of, contents, strict=True)
            },
        )
    except (TypeError, ValueError) as error:
        raise _nonsense() from error


def _sizes(shape: Sequence[object]) -> Shape:
    """Raises: TypeError, ValueError."""
    sizes = tuple(size for size in shape if isinstance(size, int) and 0 <= size <= _MAX_SIZE)
    if len(sizes) != len(shape):
        raise ValueError("no shape")
    return sizes


def _nonsense() -> ChildDiedError:
    return ChildDiedError("the interpreter's process answered nonsense about the shapes")


def _ask(request: bytes, timeout_s: float) -> dict[str, object]:
    deadline_s = time.monotonic() + timeout_s
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = _start(theirs.fileno())
        try:
            answer = _exchange(ours, request, deadline_s)
        finally:
            process.kill()
            process.wait(_REAP_S)
            if process.stdin is not None:
                process.stdin.close()
    try:
        reply = json.loads(answer)
    except ValueError as error:
        raise ChildDiedError(
            f"the interpreter's process {describe_exit(process.returncode)} while it worked out the "
            "shapes; the file may be damaged"
        ) from error
    if not isinstance(reply, dict):
        raise _nonsense()
    return reply


def _exchange(ours: socket.socket, request: bytes, deadline_s: float) -> bytes:
    """Send the request, and read until the other end closes."""
    try:
        ours.sendall(request)
        ours.shutdown(socket.SHUT_WR)
    except OSError:
        return b""  # it has died: its silence says so
    poll = select.poll()
    poll.register(ours, select.POLLIN)
    answer = b""
    while len(answer) <= MAX_REPLY_BYTES:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise ChildHungError(
                "the interpreter did not work out the shapes in time and was ended; give smaller "
                "ones"
            )
        chunk = ours.recv(_READ_BYTES)
        if not chunk:
            return answer
        answer += chunk
    return b""


def _start(descriptor: int) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "mesh.runtime.shapes_child", str(descriptor)],
            # `-m` looks in the working directory first: there lies this very package and no other.
            cwd=Path(mesh.__file__).parent.parent,
            pass_fds=(descriptor,),
            stdin=subprocess.PIPE,  # the life line: see `mesh.runtime.life_line`
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise DeviceError(f"the interpreter's process cannot be started: {error}") from error
