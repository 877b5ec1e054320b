"""The process that works out shapes, `python -m mesh.runtime.shapes_child FD`: one question, one answer."""

import contextlib
import importlib
import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mesh.runtime.confine import confine_process, filter_system_calls, limit_memory
from mesh.runtime.life_line import end_with_parent

_MAX_REQUEST_BYTES = 1 << 20


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The shapes and contents asked for, or why there are none."""
    try:
        module = importlib.import_module(request["package"])
    except ImportError as error:
        return {"missing": str(error)}
    _confine(request)
    try:
        return _shapes(module, request)
    except (RuntimeError, ValueError, SystemError, MemoryError) as error:
        return {"refused": str(error) or "not enough memory"}


def _confine(request: dict[str, Any]) -> None:
    confine_process()
    if request["memory_bytes"] is not None:
        mapped_bytes = Path(request["path"]).stat().st_size
        limit_memory(request["memory_bytes"], mapped_bytes=mapped_bytes, threads=1)
    filter_system_calls()


def _shapes(module: Any, request: dict[str, Any]) -> dict[str, Any]:
    # A delegate would hide the tensors inside what it took over.
    kind = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = module.Interpreter(
        model_path=request["path"], num_threads=1, experimental_op_resolver_type=kind
    )
    # All inputs first, one allocation then: any other order gives other shapes, without an error.
    for index, shape in request["inputs"]:
        interpreter.resize_tensor_input(index, shape)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
    # Shapes computed from shapes by operators are known to the last only when these have run.
    interpreter.invoke()
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    return {
        "shapes": [_shape(interpreter, details.get(index)) for index in range(request["tensors"])],
        "contents": [
            interpreter.get_tensor(index).tobytes().hex() for index in request["contents_of"]
        ],
    }


def _shape(interpreter: Any, detail: Any) -> list[int] | None:
    """None for a tensor that has no memory yet: it was not computed, or has a size of its own."""
    if detail is None:
        return None
    try:
        interpreter.tensor(detail["index"])()
    except (RuntimeError, ValueError):
        return None
    return [int(size) for size in detail["shape"]]


def main(arguments: Sequence[str]) -> None:
    end_with_parent()
    with socket.socket(fileno=int(arguments[0])) as control, contextlib.suppress(OSError):
        message = b""
        while len(message) <= _MAX_REQUEST_BYTES and (chunk := control.recv(1 << 16)):
            message += chunk
        control.sendall(json.dumps(answer(json.loads(message))).encode())
    os._exit(0)  # no teardown of native code that may be damaged


if __name__ == "__main__":
    main(sys.argv[1:])
