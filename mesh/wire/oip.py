"""Reads Open Inference Protocol v2 requests: JSON, or a JSON header and raw tensors behind it.

The binary form is KServe's binary tensor data extension without its HTTP header: the JSON object
ends where its last brace is, and the tensors follow in the order of "inputs", each
`parameters.binary_data_size` bytes long. Which payloads are of this kind, `payload` decides.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mesh.errors import (
    BadPayloadError,
    RequestError,
    TooLargeError,
    WrongDatatypeError,
    WrongShapeError,
)
from mesh.model.tensor import DataType, TensorSpec
from mesh.wire import oip_json, oip_values, session
from mesh.wire.infer import InferRequest, PayloadLimits

MAX_ID_CHARS = 256
MAX_TIMEOUT_S = 86_400.0
_MAX_TENSORS = 256
# The longest float64 has 24 characters; the rest is for separators, brackets and indentation.
_JSON_BYTES_PER_ELEMENT = 40


def parse(
    payload: bytes,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    limits: PayloadLimits,
    *,
    binary: bool | None,
) -> InferRequest:
    """Parse and check a request; `binary` None: raw tensors may or may not follow the JSON.

    Raises: RequestError, of the class that says what is wrong.
    """
    root, tail = split(payload, inputs, limits, binary=binary)
    return request_of(root, tail, inputs, outputs)


def request_of(
    root: Mapping[str, Any],
    tail: memoryview,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
) -> InferRequest:
    """Check a parsed JSON object and the raw tensors behind it against the model."""
    parameters = _parameters(root, "the request")
    use = session.of_json(root, parameters)
    only_ends = use is not None and use.ends and not use.starts and "inputs" not in root
    return InferRequest(
        id=_id(root.get("id")),
        inputs=() if only_ends else _tensors(root.get("inputs"), tail, inputs),
        outputs=_requested(root.get("outputs"), outputs),
        timeout_s=_timeout_s(parameters.get("timeout_ms")),
        binary_output=_binary_output(root, parameters),
        session=use,
    )


def split(
    payload: bytes, inputs: Sequence[TensorSpec], limits: PayloadLimits, *, binary: bool | None
) -> tuple[dict[str, Any], memoryview]:
    """Return the JSON object and what follows it. Raises: BadPayloadError, TooLargeError."""
    if binary is not False:
        try:
            root, end = oip_json.read_leading_object(payload, max_bytes=limits.max_header_bytes)
        except BadPayloadError:
            if binary or len(payload) <= limits.max_header_bytes:
                raise
        else:
            return root, memoryview(payload)[end:]
    _check_json_size(payload, inputs, limits)
    return oip_json.read_object(payload), memoryview(b"")


def id_of(payload: bytes, limits: PayloadLimits) -> str | None:
    """Return the id of a request that cannot be served, where one can be read cheaply.

    Beyond `max_header_bytes`, and in what is no JSON, only an id that comes first is found.
    """
    try:
        root, _ = oip_json.read_leading_object(payload, max_bytes=limits.max_header_bytes)
        return _id(root.get("id"))
    except RequestError:
        return oip_json.leading_id(payload, max_chars=MAX_ID_CHARS)


def _check_json_size(payload: bytes, inputs: Sequence[TensorSpec], limits: PayloadLimits) -> None:
    """Parsed JSON takes up to twenty times its length: refuse what no sound request needs."""
    elements = sum(math.prod(spec.shape) for spec in inputs)
    most_bytes = limits.max_header_bytes + elements * _JSON_BYTES_PER_ELEMENT
    if len(payload) > most_bytes:
        raise TooLargeError(
            f"The JSON payload has {len(payload)} bytes; {elements} input numbers need at most "
            f"{most_bytes}: leave out spaces, or send raw tensors"
        )


def _tensors(raw: Any, tail: memoryview, inputs: Sequence[TensorSpec]) -> tuple[bytes, ...]:
    expected = ", ".join(repr(spec.name) for spec in inputs)
    if not isinstance(raw, list) or not raw or len(raw) > _MAX_TENSORS:
        raise BadPayloadError(f'"inputs" must be a list of tensors; the model takes {expected}')
    specs = {spec.name: spec for spec in inputs}
    found: dict[str, bytes] = {}
    offset_bytes = 0
    for item in raw:
        spec = specs.get(_name(item, "an input"))
        if spec is None or spec.name in found:
            problem = "comes twice" if spec else "is unknown"
            raise BadPayloadError(
                f"Input {item['name']!r:.100} {problem}; the model takes {expected}"
            )
        found[spec.name], used_bytes = _tensor(item, spec, tail[offset_bytes:])
        offset_bytes += used_bytes
    missing = [name for name in specs if name not in found]
    if missing:
        raise BadPayloadError(f"Input {missing[0]!r} is missing; the model takes {expected}")
    _check_end(tail[offset_bytes:])
    return tuple(found[spec.name] for spec in inputs)


def _check_end(rest: memoryview) -> None:
    """Only a text file's last newline is excused."""
    if len(rest) > 2 or bytes(rest).strip(b"\r\n"):
        raise BadPayloadError(f"{len(rest)} bytes follow the request's end: nothing may be there")


def _tensor(item: Mapping[str, Any], spec: TensorSpec, tail: memoryview) -> tuple[bytes, int]:
    """Return the tensor and how many bytes of `tail` it took."""
    _check_datatype(item.get("datatype"), spec)
    _check_shape(item.get("shape"), spec)
    size = _parameters(item, f"input {spec.name!r}").get("binary_data_size")
    if size is None:
        return oip_values.to_bytes(spec.name, spec.data_type, spec.shape, item.get("data")), 0
    if "data" in item:
        raise BadPayloadError(f'Input {spec.name!r} has "data" and "binary_data_size": send one')
    if type(size) is not int or size != spec.size_bytes:
        raise WrongShapeError(
            f"Input {spec.name!r} of shape {list(spec.shape)} has {spec.size_bytes} bytes, "
            f'"binary_data_size" says {size!r:.40}'
        )
    if len(tail) < size:
        raise BadPayloadError(f"Input {spec.name!r} needs {size} raw bytes, {len(tail)} are left")
    return bytes(tail[:size]), size


def _check_datatype(raw: Any, spec: TensorSpec) -> None:
    if raw == spec.data_type.value:
        return
    if raw == "BYTES":
        raise WrongDatatypeError(
            f"BYTES is not served: input {spec.name!r} is {spec.data_type.value}"
        )
    known = isinstance(raw, str) and raw in {kind.value for kind in DataType}
    error: type[RequestError] = WrongDatatypeError if known else BadPayloadError
    raise error(f'"datatype" of {spec.name!r} must be "{spec.data_type.value}", got {raw!r:.40}')


def _check_shape(raw: Any, spec: TensorSpec) -> None:
    if not isinstance(raw, list) or any(type(size) is not int for size in raw):
        raise BadPayloadError(f'"shape" of {spec.name!r} must be the list {list(spec.shape)}')
    if tuple(raw) != spec.shape:
        raise WrongShapeError(
            f"Input {spec.name!r} has the shape {list(spec.shape)}, got {raw!r:.100}"
        )


def _requested(raw: Any, outputs: Sequence[TensorSpec]) -> tuple[str, ...] | None:
    if not raw and (raw is None or isinstance(raw, list)):
        return None
    expected = ", ".join(repr(spec.name) for spec in outputs)
    if not isinstance(raw, list) or len(raw) > _MAX_TENSORS:
        raise BadPayloadError(f'"outputs" must be a list of names; the model has {expected}')
    names = tuple(_name(item, "an output") for item in raw)
    unknown = set(names) - {spec.name for spec in outputs}
    if unknown or len(set(names)) != len(names):
        problem = f"{min(unknown)!r:.100} is unknown" if unknown else "a name comes twice"
        raise BadPayloadError(f"Requested outputs: {problem}; the model has {expected}")
    return names


def _binary_output(root: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Merge the request's `binary_data_output` with each output's `binary_data`, which wins."""
    default = _boolean(parameters.get("binary_data_output", False), "binary_data_output")
    wishes = {
        _boolean(_parameters(item, "an output").get("binary_data", default), "binary_data")
        for item in root.get("outputs") or ()
    }
    if len(wishes) > 1:
        raise BadPayloadError('Ask for all outputs with "binary_data" true, or for none')
    return wishes.pop() if wishes else default


def _boolean(raw: Any, what: str) -> bool:
    if not isinstance(raw, bool):
        raise BadPayloadError(f'"{what}" must be true or false')
    return raw


def _name(item: Any, what: str) -> str:
    name = item.get("name") if isinstance(item, dict) else None
    if not isinstance(name, str):
        raise BadPayloadError(f'{what} has no "name"'.capitalize())
    return name


def _parameters(item: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    parameters = item.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise BadPayloadError(f'"parameters" of {what} must be an object')
    return parameters


def _id(raw: Any) -> str | None:
    if raw is not None and (not isinstance(raw, str) or len(raw) > MAX_ID_CHARS):
        raise BadPayloadError(f'"id" must be a string of at most {MAX_ID_CHARS} characters')
    return raw


def _timeout_s(raw: Any) -> float | None:
    if raw is None:
        return None
    if type(raw) not in (int, float) or not 0 < raw <= MAX_TIMEOUT_S * 1000:
        raise BadPayloadError('"timeout_ms" must be a positive number of at most a day')
    return float(raw) / 1000
