"""The process of one interpreter, `python -m mesh.runtime.child CONTROL_FD TENSORS_FD`.

It loads one slice by path and runs it on command. Whatever native code does here — crash, hang,
leak, print — stays here. It ends with the daemon: a closed control socket ends its loop, and a
closed standard input (the daemon holds the other end) makes the kernel send SIGIO, which ends it
even inside native code that holds the interpreter lock.
"""

import contextlib
import fcntl
import importlib
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from mesh.model.tensor import TensorSpec
from mesh.runtime.control import (
    INVOKE,
    MAX_MESSAGE_BYTES,
    LoadRequest,
    Reply,
    ReplyKind,
    decode_load,
    encode_reply,
)
from mesh.runtime.region import Region, lay_out

_OOM_SCORE = "500"  # of 1000: when memory runs out, the kernel takes this process, not the daemon


class _RefusedError(Exception):
    """The parent gets this text as a refusal of the file."""


class _LoadedInterpreter:
    """An interpreter with its tensors' places in the shared region."""

    def __init__(self, request: LoadRequest, tensors_fd: int) -> None:
        self._interpreter = _open_interpreter(request)
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


def _open_interpreter(request: LoadRequest) -> Any:
    module = importlib.import_module(request.package.value)
    try:
        interpreter = module.Interpreter(model_path=request.path, num_threads=request.threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError, SystemError) as error:
        raise _RefusedError(str(error)) from error
    return interpreter


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
        loaded = _LoadedInterpreter(request, tensors_fd)
    except ImportError as error:
        return Reply(kind=ReplyKind.NO_RUNTIME, text=str(error)), None
    except (_RefusedError, MemoryError) as error:
        return Reply(kind=ReplyKind.REFUSED, text=str(error) or "not enough memory"), None
    return Reply(kind=ReplyKind.DONE), loaded


def _invoke(loaded: _LoadedInterpreter) -> Reply:
    try:
        compute_s = loaded.invoke()
    except (RuntimeError, ValueError, SystemError, MemoryError) as error:
        return Reply(kind=ReplyKind.FAILED, text=str(error) or type(error).__name__)
    return Reply(kind=ReplyKind.DONE, compute_s=compute_s)


def _end_with_parent() -> None:
    """Have the kernel end this process when the pipe at standard input loses its writer.

    fcntl(2), O_ASYNC and F_SETOWN. PR_SET_PDEATHSIG is no use here: it fires when the *thread*
    that started the process ends.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGIO})
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(0, 0)
    if poll.poll(0):  # it was gone before the signal was armed
        os._exit(0)


def _confine(data_limit_bytes: int | None) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if data_limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (data_limit_bytes, data_limit_bytes))
    with (
        contextlib.suppress(OSError),
        open("/proc/self/oom_score_adj", "w", encoding="ascii") as file,  # noqa: PTH123
    ):
        file.write(_OOM_SCORE)


def serve(control: socket.socket, tensors_fd: int) -> None:
    """Load what the first message names, then run it at each `INVOKE`, until the daemon is gone."""
    message = control.recv(MAX_MESSAGE_BYTES)
    if not message:
        return
    request = decode_load(message)
    _confine(request.data_limit_bytes)
    reply, loaded = _load(request, tensors_fd)
    control.send(encode_reply(reply))
    while loaded is not None and control.recv(MAX_MESSAGE_BYTES) == INVOKE:
        control.send(encode_reply(_invoke(loaded)))


def main(arguments: Sequence[str]) -> None:
    control_fd, tensors_fd = (int(argument) for argument in arguments)
    # The daemon decides when a stage ends; Ctrl-C and `systemctl stop` reach the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _end_with_parent()
    with socket.socket(fileno=control_fd) as control, contextlib.suppress(OSError):
        serve(control, tensors_fd)
    sys.stdout.flush()
    os._exit(0)  # no teardown of native code that may be damaged


if __name__ == "__main__":
    main(sys.argv[1:])
