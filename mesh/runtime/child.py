"""The process of one interpreter, `python -m mesh.runtime.child CONTROL_FD TENSORS_FD`.

It loads one slice by path and runs it on command. Whatever native code does here — crash, hang,
leak, print — stays here, and it is confined (`mesh.runtime.confine`) before a byte of the model is
read. It ends with the daemon: a closed control socket ends its loop, and the life line
(`mesh.runtime.life_line`) ends it inside native code that holds the interpreter lock.
"""

import contextlib
import importlib
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mesh.model.tensor import TensorSpec
from mesh.runtime.confine import confine_process, filter_system_calls, limit_memory
from mesh.runtime.control import (
    INVOKE,
    MAX_MESSAGE_BYTES,
    LoadRequest,
    Reply,
    ReplyKind,
    decode_load,
    encode_reply,
)
from mesh.runtime.life_line import end_with_parent
from mesh.runtime.region import Region, lay_out

_NO_MEMORY = "failed with error '12'"  # ENOMEM, of the mmap of the file (allocation.cc)


class _RefusedError(Exception):
    """The parent gets this text as a refusal of the file."""


class _LoadedInterpreter:
    """An interpreter with its tensors' places in the shared region."""

    def __init__(self, module: Any, request: LoadRequest, tensors_fd: int) -> None:
        self._interpreter = _open_interpreter(module, request)
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        _check("input", inputs, request.inputs)
        _check("output", outputs, request.outputs)
        self._region = Region(tensors_fd, lay_out(request.inputs, request.outputs))
        views = self._views(request)
        self._inputs = [(each["index"], views.pop(0)) for each in inputs]
        self._outputs = [(each["index"], views.pop(0)) for each in outputs]

    def invoke(self) -> float:
        """Run on what lies in the region; returns the seconds spent inside the interpreter."""
        for index, view in self._inputs:
            self._interpreter.set_tensor(index, view)
        started_s = time.perf_counter()
        self._interpreter.invoke()
        compute_s = time.perf_counter() - started_s
        for index, view in self._outputs:
            result = self._interpreter.tensor(index)()
            if result.shape != view.shape:
                raise ValueError(f"an output changed its shape to {list(result.shape)}")
            np.copyto(view, result, casting="no")
            del result  # the interpreter refuses to run while a view of its memory lives
        return compute_s

    def _views(self, request: LoadRequest) -> list[Any]:
        layout = self._region.layout
        return [
            np.ndarray(
                spec.shape,
                dtype=spec.data_type.numpy_name,
                buffer=self._region.memory,
                offset=slot.offset_bytes,
            )
            for spec, slot in zip(
                (*request.inputs, *request.outputs),
                (*layout.inputs, *layout.outputs),
                strict=True,
            )
        ]


def _open_interpreter(module: Any, request: LoadRequest) -> Any:
    try:
        return _allocated(module, request, use_xnnpack=request.use_xnnpack)
    except (RuntimeError, ValueError, SystemError) as error:
        if _says_no_memory(error) or (request.use_xnnpack and _lacks_memory(module, request)):
            raise MemoryError(str(error)) from error
        raise _RefusedError(str(error)) from error


def _allocated(module: Any, request: LoadRequest, *, use_xnnpack: bool) -> Any:
    kinds = module.OpResolverType
    interpreter = module.Interpreter(
        model_path=request.path,
        num_threads=request.threads,
        experimental_op_resolver_type=(
            kinds.AUTO if use_xnnpack else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        ),
    )
    interpreter.allocate_tensors()
    return interpreter


def _says_no_memory(error: Exception) -> bool:
    """What LiteRT says when an allocation of its own fails: nothing; 2.14 raises MemoryError."""
    return (isinstance(error, RuntimeError) and not str(error)) or _NO_MEMORY in str(error)


def _lacks_memory(module: Any, request: LoadRequest) -> bool:
    """Whether it is for memory that XNNPACK failed, which says of all its failures the same."""
    try:
        _allocated(module, request, use_xnnpack=False)
    except MemoryError:
        return True
    except (RuntimeError, ValueError, SystemError) as error:
        return _says_no_memory(error)
    return False


def _check(what: str, found: Sequence[Any], named: Sequence[TensorSpec]) -> None:
    if len(found) != len(named):
        raise _RefusedError(f"it has {len(found)} {what}s where {len(named)} were expected")
    for place, (detail, spec) in enumerate(zip(found, named, strict=True)):
        data_type = np.dtype(detail["dtype"])
        shape = tuple(int(size) for size in detail["shape"])
        if data_type != np.dtype(spec.data_type.numpy_name) or shape != spec.shape:
            raise _RefusedError(
                f"{what} {place} is {data_type} {list(shape)} "
                f"where {spec.data_type.value} {list(spec.shape)} was expected"
            )


def _load(request: LoadRequest, tensors_fd: int) -> tuple[Reply, _LoadedInterpreter | None]:
    try:
        module = importlib.import_module(request.package.value)
    except ImportError as error:
        return Reply(kind=ReplyKind.NO_RUNTIME, text=str(error)), None
    unfiltered = _confine(request)
    try:
        loaded = _LoadedInterpreter(module, request, tensors_fd)
    except (_RefusedError, UnicodeDecodeError) as error:  # names of tensors may be no UTF-8
        return Reply(kind=ReplyKind.REFUSED, text=str(error)), None
    except MemoryError as error:
        return Reply(kind=ReplyKind.NO_MEMORY, text=str(error)), None
    return Reply(kind=ReplyKind.DONE, text=unfiltered), loaded


def _confine(request: LoadRequest) -> str:
    """Returns why system calls are not filtered, or ""."""
    confine_process()
    if request.memory_bytes is not None:
        layout = lay_out(request.inputs, request.outputs)
        with contextlib.suppress(
            OSError
        ):  # a file that cannot be read is the interpreter's to tell
            mapped_bytes = layout.size_bytes + Path(request.path).stat().st_size
            limit_memory(request.memory_bytes, mapped_bytes=mapped_bytes, threads=request.threads)
    return filter_system_calls()


def _invoke(loaded: _LoadedInterpreter) -> Reply:
    try:
        compute_s = loaded.invoke()
    except MemoryError as error:
        return Reply(kind=ReplyKind.NO_MEMORY, text=str(error))
    except (RuntimeError, ValueError, SystemError) as error:
        return Reply(kind=ReplyKind.FAILED, text=str(error) or type(error).__name__)
    return Reply(kind=ReplyKind.DONE, compute_s=compute_s)


def serve(control: socket.socket, tensors_fd: int) -> None:
    """Load what the first message names, then run it at each `INVOKE`, until the daemon is gone."""
    message = control.recv(MAX_MESSAGE_BYTES)
    if not message:
        return
    request = decode_load(message)
    reply, loaded = _load(request, tensors_fd)
    control.send(encode_reply(reply))
    used_s = time.process_time()
    while loaded is not None and control.recv(MAX_MESSAGE_BYTES) == INVOKE:
        reply = _invoke(loaded)
        before_s, used_s = used_s, time.process_time()
        control.send(encode_reply(replace(reply, processor_s=used_s - before_s)))


def main(arguments: Sequence[str]) -> None:
    control_fd, tensors_fd = (int(argument) for argument in arguments)
    # The daemon decides when a stage ends; Ctrl-C and `systemctl stop` reach the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_with_parent()
    with socket.socket(fileno=control_fd) as control, contextlib.suppress(OSError):
        serve(control, tensors_fd)
    sys.stdout.flush()
    os._exit(0)  # no teardown of native code that may be damaged


if __name__ == "__main__":
    main(sys.argv[1:])
