"""What `mesh infer` sends: a file as it is, or arrays from a file or drawn at random."""

import zipfile
import zlib
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mesh.cli.session import Asker
from mesh.client import Answer
from mesh.client.arrays import as_answer
from mesh.errors import UsageError
from mesh.model.tensor import TensorSpec
from mesh.runtime.golden import golden_inputs
from mesh.wire.infer import InferResponse, SessionUse

MAX_FILE_BYTES = 256 << 20

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadRequest:
    """Bytes for the mesh to make sense of; `content_type` None leaves that to it."""

    payload: bytes
    content_type: str | None
    session: SessionUse | None = None

    def submit(self, asker: Asker, model_name: str) -> "Future[Answer]":
        answered: Future[Answer] = Future()
        sent = asker.send(
            model_name, self.payload, content_type=self.content_type, session=self.session
        )
        sent.add_done_callback(lambda done: _hand_on(done, answered))
        return answered


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayRequest:
    """Inputs by name; `outputs` None asks for all."""

    inputs: Arrays
    outputs: tuple[str, ...] | None
    timeout_s: float
    session: SessionUse | None = None

    def submit(self, asker: Asker, model_name: str) -> "Future[Answer]":
        return asker.infer_soon(
            model_name,
            self.inputs,
            outputs=self.outputs,
            timeout_s=self.timeout_s,
            session=self.session,
        )


InferWish = PayloadRequest | ArrayRequest


def read_payload(path: Path) -> bytes:
    """Raises: UsageError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"{path} has more than {MAX_FILE_BYTES >> 20} MiB: send less at once")
    if not content:
        raise UsageError(f"{path} is empty")
    return content


def read_arrays(path: Path) -> Arrays:
    """The arrays of an .npz file, by name. Raises: UsageError."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            _check_sizes(content, path)
            arrays = {name: content[name] for name in content.files}
    except (OSError, ValueError, TypeError, AttributeError, EOFError) as error:
        raise _no_arrays(path, str(error)) from error
    except (zipfile.BadZipFile, zlib.error, RuntimeError) as error:  # also an unknown compression
        raise _no_arrays(path, str(error)) from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy hands over members that are none as bytes
            raise _no_arrays(path, f"{name!r} is no array")
    return arrays


def _no_arrays(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"{path} cannot be read as .npz: {reason}; save it with numpy.savez(FILE, name=array)"
    )


def random_arrays(specs: tuple[TensorSpec, ...], seed: int) -> Arrays:
    """The same for the same seed: floats in [0, 1), 8- and 16-bit activations over their range, else 0 and 1."""
    return {
        spec.name: np.frombuffer(data, spec.data_type.numpy_name).reshape(spec.shape)
        for spec, data in zip(specs, golden_inputs(specs, seed), strict=True)
    }


def write_arrays(path: Path, arrays: Arrays) -> None:
    """An .npz file; names may be any, which `numpy.savez` does not allow. Raises: UsageError."""
    try:
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error


def _check_sizes(content: "np.lib.npyio.NpzFile", path: Path) -> None:
    """Before anything is unpacked. Raises: UsageError."""
    archive = content.zip  # what is no archive has none, nor is it a context
    size_bytes = sum(entry.file_size for entry in archive.infolist()) if archive else 0
    if size_bytes > MAX_FILE_BYTES:
        raise UsageError(f"{path} holds more than {MAX_FILE_BYTES >> 20} MiB: send less at once")


def _hand_on(done: "Future[InferResponse]", answered: "Future[Answer]") -> None:
    error = done.exception()
    if error is not None:
        answered.set_exception(error)
        return
    answered.set_result(as_answer(done.result()))
