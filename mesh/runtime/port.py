"""What the mesh asks of a TFLite runtime: one adapter per way of running, one contract suite."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mesh.model.tensor import TensorSpec
from mesh.runtime.operator_versions import OperatorVersions


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeInfo:
    """Which interpreter a node runs; equal `kernel_class` promises equal bits (architecture, decision 11)."""

    name: str
    version: str
    kernel_class: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One run of a slice: the raw little-endian bytes of each output, and how long the interpreter took.

    `processor_s` = core-seconds of its process, with all threads and copies: unlike `compute_s`, not
    longer for waiting for a processor; 0 = not known.
    """

    outputs: tuple[bytes, ...]
    compute_s: float
    processor_s: float = 0.0


class LoadedSlice(Protocol):
    """A slice in its interpreter; one caller at a time, but `close` may come from any thread."""

    @property
    def resident_bytes(self) -> int:
        """Resident memory of the process that holds the slice; 0 once it has ended."""
        ...

    def invoke(self, inputs: Sequence[bytes | memoryview], *, timeout_s: float) -> Invocation:
        """Run once on raw little-endian tensors in the slice's input order.

        Raises: InvokeError (the slice stays usable), ChildDiedError or ChildHungError (it is gone),
        WrongShapeError when a buffer has not the size of its tensor.
        """
        ...

    def close(self) -> None:
        """End the interpreter, also during an `invoke`, which then raises ChildDiedError.

        Harmless when called again.
        """
        ...


class Runtime(Protocol):
    """Loads slices."""

    def info(self) -> RuntimeInfo: ...

    def operator_versions(self) -> OperatorVersions:
        """What it knows of each builtin operator; asked once. Raises: DeviceError."""
        ...

    def unfiltered(self) -> str:
        """Why its interpreters run without a filter of system calls; empty if they do not, or none ran."""
        ...

    def load(
        self,
        path: Path,
        *,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        threads: int,
        timeout_s: float,
        memory_bytes: int | None = None,
    ) -> LoadedSlice:
        """Load the slice file and allocate its tensors.

        `memory_bytes` = what the slice is predicted to take beyond a bare interpreter: it is bounded
        to a multiple of that. None = to what is free.
        Raises: UnsupportedModelError when the interpreter refuses the file or its tensors are not
        the ones named, ChildDiedError or ChildHungError when it takes its process with it,
        DeviceError when no interpreter can be started at all.
        """
        ...
