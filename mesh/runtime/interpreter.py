"""The real runtime: each slice in an interpreter of its own process, behind the `Runtime` port.

How the process is started and watched is `mesh.runtime.process`; which package it imports was
decided by `mesh.runtime.detect`.
"""

import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import psutil

from mesh.errors import (
    ChildDiedError,
    ChildHungError,
    DeviceError,
    InvokeError,
    UnsupportedModelError,
)
from mesh.model.tensor import TensorSpec
from mesh.runtime.control import (
    INVOKE,
    LoadRequest,
    Package,
    Reply,
    ReplyKind,
    decode_reply,
    encode_load,
)
from mesh.runtime.memory_bound import FreeBytes, bound_bytes
from mesh.runtime.operator_versions import OperatorVersions
from mesh.runtime.port import Invocation, RuntimeInfo
from mesh.runtime.process import InterpreterProcess, clean
from mesh.runtime.region import Region, check_sizes, create_shared_file, lay_out
from mesh.runtime.version_probe import operator_versions

_LOG = logging.getLogger("mesh.runtime")


class InterpreterSlice:
    """A slice in its own process; `close` may be called while another thread is in `invoke`."""

    def __init__(self, process: InterpreterProcess, region: Region, request: LoadRequest) -> None:
        self._process = process
        self._region = region
        self._request = request
        self._in_use = threading.Lock()
        self._closed = False

    @property
    def pid(self) -> int:
        """The interpreter's process."""
        return self._process.pid

    @property
    def resident_bytes(self) -> int:
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def load(self, *, timeout_s: float) -> str:
        """Have the process load its file, once, before the first `invoke`.

        Returns why its system calls are not filtered, or "".
        """
        name = Path(self._request.path).name
        reply = self._ask(encode_load(self._request), timeout_s, f"the loading of {name}")
        if reply.kind is ReplyKind.NO_MEMORY:
            raise UnsupportedModelError(f"{name} {self._needs_memory()}")
        if reply.kind is ReplyKind.NO_RUNTIME:
            package = self._request.package.value
            raise DeviceError(f"{package} cannot be imported: {clean(reply.text)}")
        if reply.kind is not ReplyKind.DONE:
            raise UnsupportedModelError(
                f"the interpreter refuses {name}: {clean(reply.text)}",
            )
        return clean(reply.text)

    def invoke(self, inputs: Sequence[bytes | memoryview], *, timeout_s: float) -> Invocation:
        buffers = check_sizes(inputs, self._request.inputs)
        with self._in_use:
            if self._closed:
                raise ChildDiedError("the slice is closed; load it again")
            self._region.write_inputs(buffers)
            reply = self._ask(INVOKE, timeout_s, "an invoke")
            if reply.kind is ReplyKind.NO_MEMORY:
                raise InvokeError(f"the slice {self._needs_memory()}")
            if reply.kind is not ReplyKind.DONE:
                raise InvokeError(f"the interpreter failed: {clean(reply.text)}")
            return Invocation(
                outputs=self._region.read_outputs(),
                compute_s=reply.compute_s,
                processor_s=reply.processor_s,
            )

    def close(self) -> None:
        self._closed = True
        self._process.kill()  # ends an `invoke` that is under way, which then lets go of the lock
        with self._in_use:
            self._process.release()
            self._region.close()

    def _needs_memory(self) -> str:
        most_bytes = self._request.memory_bytes
        if most_bytes is None:
            return "needs more memory than this machine has: free some, or cut the model in more stages"
        return (
            f"needs more than the {most_bytes >> 20} MiB of memory that it may take here: free some, "
            "or cut the model in more stages"
        )

    def _ask(self, message: bytes, timeout_s: float, doing: str) -> Reply:
        try:
            return decode_reply(
                self._process.exchange(message, timeout_s=timeout_s, doing=doing),
            )
        except (ChildDiedError, ChildHungError):
            if self._closed:
                raise ChildDiedError(f"the slice was closed during {doing}") from None
            self._closed = True
            raise
        except ValueError as error:
            self._closed = True
            self._process.kill()
            raise ChildDiedError(f"the interpreter's process answered nonsense: {error}") from error


class InterpreterRuntime:
    """Starts one process for each slice."""

    def __init__(
        self,
        package: Package,
        info: RuntimeInfo,
        *,
        use_xnnpack: bool = True,
        free_bytes: FreeBytes | None = None,
        versions_folder: Path | None = None,
    ) -> None:
        """`free_bytes` is asked at each load how much memory there is to take.

        Which operators the package knows is kept in `versions_folder`; None = asked anew each time.
        """
        self._package = package
        self._info = info
        self._use_xnnpack = use_xnnpack
        self._free_bytes = free_bytes
        self._versions_folder = versions_folder
        self._versions: OperatorVersions | None = None
        self._unfiltered = ""

    def info(self) -> RuntimeInfo:
        return self._info

    def operator_versions(self) -> OperatorVersions:
        if self._versions is None:
            version, folder = self._info.version, self._versions_folder
            self._versions = operator_versions(self._package, version, folder)
        return self._versions

    def unfiltered(self) -> str:
        return self._unfiltered

    def load(
        self,
        path: Path,
        *,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        threads: int,
        timeout_s: float,
        memory_bytes: int | None = None,
    ) -> InterpreterSlice:
        request = LoadRequest(
            package=self._package,
            path=str(path.absolute()),
            threads=threads,
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            use_xnnpack=self._use_xnnpack,
            memory_bytes=bound_bytes(
                memory_bytes, None if self._free_bytes is None else self._free_bytes()
            ),
        )
        loaded = _start(request)
        try:
            self._note_filter(loaded.load(timeout_s=timeout_s))
        except BaseException:
            loaded.close()
            raise
        _LOG.debug("loaded %s in process %d", path.name, loaded.pid)
        return loaded

    def _note_filter(self, unfiltered: str) -> None:
        if unfiltered and not self._unfiltered:  # it is the same for every process
            _LOG.warning("interpreters run without a filter of system calls (%s)", unfiltered)
        self._unfiltered = unfiltered


def _start(request: LoadRequest) -> InterpreterSlice:
    layout = lay_out(request.inputs, request.outputs)
    try:
        encode_load(request)
        descriptor = create_shared_file(layout.size_bytes)
    except (OSError, OverflowError, ValueError) as error:
        raise UnsupportedModelError(
            f"the slice's tensors do not fit this node: {layout.size_bytes} bytes, {error}"
        ) from error
    try:
        region = Region(descriptor, layout)
        try:
            return InterpreterSlice(InterpreterProcess(descriptor), region, request)
        except BaseException:
            region.close()
            raise
    except OSError as error:
        raise UnsupportedModelError(
            f"the slice's tensors do not fit this node: {layout.size_bytes} bytes, {error}"
        ) from error
    finally:
        os.close(descriptor)
