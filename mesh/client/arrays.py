"""NumPy arrays as requests, and answers as NumPy arrays: exact, no dtype is ever converted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mesh.errors import BadPayloadError
from mesh.model.tensor import DataType
from mesh.wire import codec, session
from mesh.wire.infer import InferResponse, LikelyClass, OutputTensor, SessionUse, Timing

_DATA_TYPES = {data_type.numpy_name.lstrip("<|"): data_type for data_type in DataType}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Outputs by name, as read-only arrays of the model's shapes, and where the time went.

    `classes`: the likeliest of those outputs whose values the model has labels for, by name.
    """

    outputs: Mapping[str, npt.NDArray[Any]]
    timing: Timing | None
    model_version: str
    classes: Mapping[str, tuple[LikelyClass, ...]] = field(default_factory=dict)


def encode_request(
    inputs: Mapping[str, npt.ArrayLike],
    outputs: Sequence[str] | None,
    timeout_s: float,
    use: SessionUse | None = None,
) -> Callable[[str], bytes]:
    """Open Inference Protocol with raw tensors behind the JSON, given the request's id.

    Raises: BadPayloadError for what is no tensor.
    """
    entries, tensors = [], []
    for name, value in inputs.items():
        shape, data_type, data = _tensor(name, value)
        entries.append(
            {
                "name": name,
                "datatype": data_type.value,
                "shape": list(shape),
                "parameters": {"binary_data_size": len(data)},
            }
        )
        tensors.append(data)
    root: dict[str, Any] = {
        "inputs": entries,
        "parameters": {"binary_data_output": True, "timeout_ms": round(timeout_s * 1000)},
    }
    if use is not None:
        root |= session.as_json(use)
    if outputs is not None:
        root["outputs"] = [{"name": name} for name in outputs]
    return lambda request_id: b"".join([codec.encode({"id": request_id, **root}), *tensors])


def encode_end(session_name: str) -> Callable[[str], bytes]:
    """A request that ends a session and computes nothing."""
    use = session.as_json(SessionUse(name=session_name, ends=True))
    return lambda request_id: codec.encode({"id": request_id, **use})


def as_answer(response: InferResponse) -> Answer:
    return Answer(
        outputs={output.name: _array(output) for output in response.outputs},
        timing=response.timing,
        model_version=response.model_version,
        classes={output.name: output.classes for output in response.outputs if output.classes},
    )


def _tensor(name: str, value: npt.ArrayLike) -> tuple[tuple[int, ...], DataType, bytes]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise BadPayloadError(f"input {name!r} is no tensor: {error}") from error
    data_type = _DATA_TYPES.get(array.dtype.str.lstrip("<>|"))
    if data_type is None:
        raise BadPayloadError(f"input {name!r} has dtype {array.dtype}, which no model takes")
    return array.shape, data_type, array.astype(data_type.numpy_name, copy=False).tobytes()


def _array(output: OutputTensor) -> npt.NDArray[Any]:
    flat = np.frombuffer(output.data, output.data_type.numpy_name)
    return flat.reshape(output.shape)
