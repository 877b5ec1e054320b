"""The shared memory between the daemon and an interpreter's process: where each tensor lies in it.

One anonymous file, mapped by both, holds the inputs and then the outputs. Who may read or write
when is decided by the control messages (`mesh.runtime.control`), not here.
"""

import fcntl
import mmap
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from mesh.errors import WrongShapeError
from mesh.model.tensor import TensorSpec

ALIGNMENT_BYTES = 64
"""A cache line, and what TFLite asks of its own buffers (tensorflow/lite/util.h, kDefaultTensorAlignment)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One tensor's bytes in the region."""

    offset_bytes: int
    size_bytes: int

    @property
    def stop_bytes(self) -> int:
        return self.offset_bytes + self.size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the inputs and the outputs of one slice lie."""

    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    size_bytes: int


def lay_out(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Layout:
    """Place the tensors one after another, each aligned; both processes compute the same layout."""
    slots = []
    offset_bytes = 0
    for spec in (*inputs, *outputs):
        slots.append(Slot(offset_bytes=offset_bytes, size_bytes=spec.size_bytes))
        offset_bytes += -(-spec.size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return Layout(
        inputs=tuple(slots[: len(inputs)]),
        outputs=tuple(slots[len(inputs) :]),
        size_bytes=max(offset_bytes, ALIGNMENT_BYTES),  # an empty file cannot be mapped
    )


def create_shared_file(size_bytes: int) -> int:
    """An anonymous file of fixed size in memory; returns its descriptor. Raises: OSError."""
    if not hasattr(os, "memfd_create"):  # musl before 1.2, or a libc without the call
        return _unlinked_file(size_bytes)
    descriptor = os.memfd_create("mesh-tensors", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size_bytes)
        # A damaged child cannot shrink the file: reading past its end would be SIGBUS in the daemon.
        fcntl.fcntl(
            descriptor,
            fcntl.F_ADD_SEALS,
            fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL,
        )
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _unlinked_file(size_bytes: int) -> int:
    with tempfile.TemporaryFile(prefix="mesh-tensors-") as file:
        file.truncate(size_bytes)
        return os.dup(file.fileno())


class Region:
    """The mapping of one process."""

    def __init__(self, descriptor: int, layout: Layout) -> None:
        self.layout = layout
        self.memory = mmap.mmap(descriptor, layout.size_bytes)

    def write_inputs(self, buffers: Sequence[memoryview]) -> None:
        """Copy each buffer in; its size is the slot's."""
        for slot, buffer in zip(self.layout.inputs, buffers, strict=True):
            self.memory[slot.offset_bytes : slot.stop_bytes] = buffer

    def read_outputs(self) -> tuple[bytes, ...]:
        return tuple(
            self.memory[slot.offset_bytes : slot.stop_bytes] for slot in self.layout.outputs
        )

    def close(self) -> None:
        self.memory.close()


def check_sizes(
    inputs: Sequence[bytes | memoryview], specs: Sequence[TensorSpec]
) -> list[memoryview]:
    """The buffers as flat views. Raises: WrongShapeError when they are not the tensors' size."""
    if len(inputs) != len(specs):
        raise WrongShapeError(f"{len(inputs)} input tensors were given, {len(specs)} are needed")
    views = []
    for buffer, spec in zip(inputs, specs, strict=True):
        view = memoryview(buffer)
        if view.nbytes != spec.size_bytes or not view.c_contiguous:
            raise WrongShapeError(
                f"input {spec.name!r} needs {spec.size_bytes} contiguous bytes, got {view.nbytes}"
            )
        views.append(view.cast("B") if view.nbytes else memoryview(b""))
    return views
