"""A runtime without interpreter or process: computes by a given function, and fails on command.

It passes the same contract suite as the real one (tests/runtime/test_port.py).
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh.errors import (
    ChildDiedError,
    ChildHungError,
    InvokeError,
    MeshError,
    UnsupportedModelError,
)
from mesh.model.tensor import TensorSpec
from mesh.runtime.golden import golden_inputs
from mesh.runtime.operator_versions import EVERY_VERSION, OperatorVersions
from mesh.runtime.port import Invocation, RuntimeInfo
from mesh.runtime.region import check_sizes

_IDENTIFIER = slice(4, 8)  # of a flatbuffer; schema.fbs: file_identifier "TFL3"


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeCall:
    """What an invoke knows: the slice's file, its tensors, and the bytes of its inputs."""

    path: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    buffers: tuple[bytes, ...]


Compute = Callable[[FakeCall], Sequence[bytes]]


def digest_outputs(call: FakeCall) -> tuple[bytes, ...]:
    """Sound values (floats in [0, 1)) that depend on every input byte and on the outputs asked for."""
    digest = hashlib.sha256(b"".join(call.buffers)).digest()
    return golden_inputs(call.outputs, seed=int.from_bytes(digest[:8], "little"))


class FakeSlice:
    """A loaded slice; `die`, `hang` and `fail_next` may be called from any thread."""

    def __init__(self, runtime: "FakeRuntime", call: FakeCall, threads: int = 1) -> None:
        self.threads = threads
        self._runtime = runtime
        self._call = call
        self._ended = threading.Event()
        self._hangs = False
        self._failure = ""

    @property
    def resident_bytes(self) -> int:
        return 0 if self._ended.is_set() else self._runtime.resident_bytes

    def fail_next(self, text: str) -> None:
        """Let the next invoke fail as if the interpreter had said this."""
        self._failure = text

    def hang(self) -> None:
        """Let the next invoke not answer."""
        self._hangs = True

    def die(self) -> None:
        """End as a killed process does, also during an invoke that hangs."""
        self._ended.set()

    def invoke(self, inputs: Sequence[bytes | memoryview], *, timeout_s: float) -> Invocation:
        buffers = tuple(bytes(view) for view in check_sizes(inputs, self._call.inputs))
        if self._hangs and not self._ended.wait(timeout_s):
            self._ended.set()
            raise ChildHungError(f"the interpreter did not finish within {timeout_s:g} s")
        if self._ended.is_set():
            raise ChildDiedError("the interpreter's process has ended; load the slice again")
        if self._failure:
            text, self._failure = self._failure, ""
            raise InvokeError(f"the interpreter failed: {text}")
        call = FakeCall(
            path=self._call.path,
            inputs=self._call.inputs,
            outputs=self._call.outputs,
            buffers=buffers,
        )
        outputs = tuple(bytes(each) for each in self._runtime.compute(call))
        return Invocation(outputs=outputs, compute_s=self._runtime.compute_s)

    def close(self) -> None:
        self._ended.set()


class FakeRuntime:
    """Keeps every slice that it loaded in `slices`, in order; `next_load_error` refuses one load."""

    def __init__(
        self,
        compute: Compute = digest_outputs,
        *,
        kernel_class: str = "fake-1/none",
        resident_bytes: int = 50 << 20,
        compute_s: float = 0.001,
        versions: OperatorVersions = EVERY_VERSION,
    ) -> None:
        """`compute_s` is what each invoke reports; none of it is waited for.

        `versions` is what it says of itself; it loads every file whatever that is.
        """
        self.compute = compute
        self.resident_bytes = resident_bytes
        self.compute_s = compute_s
        self.versions = versions
        self.slices: list[FakeSlice] = []
        self.why_unfiltered = ""
        self.next_load_error: MeshError | None = None
        self._info = RuntimeInfo(name="fake", version="1", kernel_class=kernel_class)

    def info(self) -> RuntimeInfo:
        return self._info

    def operator_versions(self) -> OperatorVersions:
        return self.versions

    def unfiltered(self) -> str:
        return self.why_unfiltered

    def load(
        self,
        path: Path,
        *,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        threads: int,
        timeout_s: float,  # noqa: ARG002 - part of the port
        memory_bytes: int | None = None,  # noqa: ARG002
    ) -> FakeSlice:
        if self.next_load_error is not None:
            error, self.next_load_error = self.next_load_error, None
            raise error
        if not _is_tflite(path):
            raise UnsupportedModelError(f"the interpreter refuses {path.name}: not a TFLite file")
        call = FakeCall(path=path, inputs=tuple(inputs), outputs=tuple(outputs), buffers=())
        self.slices.append(FakeSlice(self, call, threads))
        return self.slices[-1]


def _is_tflite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(_IDENTIFIER.stop)[_IDENTIFIER] == b"TFL3"
    except OSError:
        return False
