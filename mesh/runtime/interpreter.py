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
from mesh.runtime.port import Invocation, RuntimeInfo
from mesh.runtime.process import InterpreterProcess, clean
from mesh.runtime.region import Region, check_sizes, create_shared_file, lay_out

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

    def load(self, *, timeout_s: float) -> None:
        """Have the process load its file, once, before the first `invoke`."""
        name = Path(self._request.path).name
        reply = self._ask(encode_load(self._request), timeout_s, f"the loading of {name}")
        if reply.kind is ReplyKind.NO_RUNTIME:
            package = self._request.package.value
            raise DeviceError(f"{package} cannot be imported: {clean(reply.text)}")
        if reply.kind is not ReplyKind.DONE:
            raise UnsupportedModelError(
                f"the interpreter refuses {name}: {clean(reply.text)}",
            )

    def invoke(self, inputs: Sequence[bytes | memoryview], *, timeout_s: float) -> Invocation:
        buffers = check_sizes(inputs, self._request.inputs)
        with self._in_use:
            if self._closed:
                raise ChildDiedError("the slice is closed; load it again")
            self._region.write_inputs(buffers)
            reply = self._ask(INVOKE, timeout_s, "an invoke")
            if reply.kind is not ReplyKind.DONE:
                raise InvokeError(f"the interpreter failed: {clean(reply.text)}")
            return Invocation(outputs=self._region.read_outputs(), compute_s=reply.compute_s)

    def close(self) -> None:
        self._closed = True
        self._process.kill()  # ends an `invoke` that is under way, which then lets go of the lock
        with self._in_use:
            self._process.release()
            self._region.close()

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
        self, package: Package, info: RuntimeInfo, *, data_limit_bytes: int | None = None
    ) -> None:
        """`data_limit_bytes` bounds each process's private writable memory (RLIMIT_DATA)."""
        self._package = package
        self._info = info
        self._data_limit_bytes = data_limit_bytes

    def info(self) -> RuntimeInfo:
        return self._info

    def load(
        self,
        path: Path,
        *,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        threads: int,
        timeout_s: float,
    ) -> InterpreterSlice:
        request = LoadRequest(
            package=self._package,
            path=str(path.absolute()),
            threads=threads,
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            data_limit_bytes=self._data_limit_bytes,
        )
        loaded = _start(request)
        try:
            loaded.load(timeout_s=timeout_s)
        except BaseException:
            loaded.close()
            raise
        _LOG.debug("loaded %s in process %d", path.name, loaded.pid)
        return loaded


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
