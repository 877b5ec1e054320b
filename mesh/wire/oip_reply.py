"""Writes and reads replies: Open Inference Protocol v2 with "status", "classes", "timing" and error codes added.

One reply looks like `{"id", "model_name", "model_version", "status": "ok", "outputs": [{"name",
"datatype", "shape", "data"}][, "classes": {output: [{"index", "label", "value"}]}], "timing"}`; in
the binary form "data" is missing, each output has `parameters.binary_data_size` and the raw tensors
follow the JSON in order. An error is `{"id",
"model_name", "status": "error", "error", "code", "retryable"[, "retry_after_ms"]}`.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mesh.errors import MeshError, RemoteError, RequestError
from mesh.model.tensor import DataType, LayerRange
from mesh.wire import oip_json, oip_values
from mesh.wire.infer import (
    CONTENT_JSON,
    CONTENT_OIP_BINARY,
    ErrorReply,
    InferResponse,
    LikelyClass,
    OutputTensor,
    PayloadLimits,
    StageTiming,
    Timing,
)

MAX_MESSAGE_CHARS = 2000
_MAX_OUTPUTS = 256
_MAX_STAGES = 1024
_MAX_DIMENSIONS = 16
_MAX_CLASSES = 1024


def encode_response(response: InferResponse, *, binary: bool) -> bytes:
    """Encode an answer; its content type is `content_type(binary=...)`."""
    root: dict[str, Any] = {
        "id": response.id,
        "model_name": response.model_name,
        "model_version": response.model_version,
        "status": "ok",
        "outputs": [_output(output, binary=binary) for output in response.outputs],
    }
    if response.id is None:
        del root["id"]
    classes = {output.name: _classes(output) for output in response.outputs if output.classes}
    if classes:
        root["classes"] = classes
    if response.timing is not None:
        root["timing"] = _timing(response.timing)
    header = _dump(root)
    if not binary:
        return header
    return b"".join([header, *(output.data for output in response.outputs)])


def encode_error(reply: ErrorReply) -> bytes:
    """Encode the other answer, always as JSON."""
    root: dict[str, Any] = {
        "id": reply.id,
        "model_name": reply.model_name,
        "status": "error",
        "error": reply.message[:MAX_MESSAGE_CHARS],
        "code": reply.code,
        "retryable": reply.retryable,
    }
    if reply.id is None:
        del root["id"]
    if reply.retry_after_s is not None:
        root["retry_after_ms"] = math.ceil(reply.retry_after_s * 1000)
    return _dump(root)


def content_type(*, binary: bool) -> str:
    return CONTENT_OIP_BINARY if binary else CONTENT_JSON


def parse_response(payload: bytes, limits: PayloadLimits) -> InferResponse | ErrorReply:
    """Read a reply of either form. Raises: RemoteError."""
    if len(payload) > limits.max_payload_bytes:
        raise RemoteError(
            f"The reply has {len(payload)} bytes, at most {limits.max_payload_bytes} are read"
        )
    try:
        root, tail = _split(payload, limits)
        if root.get("status") == "error":
            return _parse_error(root)
        return _parse_ok(root, tail)
    except (RequestError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise RemoteError(f"The reply is not what the protocol allows: {error}") from error


def as_error(reply: ErrorReply) -> MeshError:
    """Turn an error reply into the exception of its code; an unknown code becomes a MeshError."""
    return _classes_by_code().get(reply.code, MeshError)(reply.message)


def _classes_by_code() -> dict[str, type[MeshError]]:
    """Map each code to its most specific class (a class may share its parent's code)."""
    found: dict[str, type[MeshError]] = {}
    waiting: list[type[MeshError]] = [MeshError]
    while waiting:
        one = waiting.pop(0)
        found[one.code] = one
        waiting.extend(one.__subclasses__())
    return found


def _dump(root: Mapping[str, Any]) -> bytes:
    return json.dumps(root, separators=(",", ":"), allow_nan=False).encode()


def _output(output: OutputTensor, *, binary: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": output.name,
        "datatype": output.data_type.value,
        "shape": list(output.shape),
    }
    if binary:
        return described | {"parameters": {"binary_data_size": len(output.data)}}
    return described | {"data": oip_values.to_list(output.data_type, output.data)}


def _classes(output: OutputTensor) -> list[dict[str, Any]]:
    return [
        {"index": one.index, "label": one.label, "value": oip_values.to_json_number(one.value)}
        for one in output.classes
    ]


def _timing(timing: Timing) -> dict[str, Any]:
    return {
        "total_ms": _ms(timing.total_s),
        "transfer_ms": _ms(timing.transfer_s),
        "stages": [
            {
                "node": stage.node,
                "name": stage.name,
                "layers": [stage.layers.start, stage.layers.stop],
                "queue_ms": _ms(stage.queue_s),
                "compute_ms": _ms(stage.compute_s),
            }
            for stage in timing.stages
        ],
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _split(payload: bytes, limits: PayloadLimits) -> tuple[dict[str, Any], memoryview]:
    header_bytes = min(limits.max_payload_bytes, 4 * limits.max_header_bytes)
    try:
        root, end = oip_json.read_leading_object(payload, max_bytes=header_bytes)
    except RequestError:
        if len(payload) <= header_bytes:
            raise
        return oip_json.read_object(payload), memoryview(b"")
    return root, memoryview(payload)[end:]


def _parse_error(root: Mapping[str, Any]) -> ErrorReply:
    after_ms = root.get("retry_after_ms")
    return ErrorReply(
        id=_optional_text(root.get("id")),
        model_name=_text(root.get("model_name", "")),
        message=_text(root["error"]),
        code=_text(root["code"]),
        retryable=root.get("retryable") is True,
        retry_after_s=None if after_ms is None else _seconds(after_ms),
    )


def _parse_ok(root: Mapping[str, Any], tail: memoryview) -> InferResponse:
    if root.get("status", "ok") != "ok":
        raise ValueError("its status is neither ok nor error")
    timing = root.get("timing")
    outputs = _parse_outputs(_items(root["outputs"], _MAX_OUTPUTS), tail)
    return InferResponse(
        id=_optional_text(root.get("id")),
        model_name=_text(root["model_name"]),
        model_version=_text(root.get("model_version", "")),
        outputs=_with_classes(outputs, root.get("classes", {})),
        timing=None if timing is None else _parse_timing(timing),
    )


def _parse_outputs(items: Sequence[Any], tail: memoryview) -> tuple[OutputTensor, ...]:
    outputs = []
    for item in items:
        shape = _shape(item["shape"])
        name, data_type = _text(item["name"]), DataType(item["datatype"])
        size_bytes = math.prod(shape) * data_type.itemsize_bytes
        if "data" in item:
            data = oip_values.to_bytes(name, data_type, shape, item["data"])
        elif item["parameters"]["binary_data_size"] != size_bytes or len(tail) < size_bytes:
            raise ValueError(f"the raw tensor of {name!r} has not the size of its shape")
        else:
            data, tail = bytes(tail[:size_bytes]), tail[size_bytes:]
        outputs.append(OutputTensor(name=name, data_type=data_type, shape=shape, data=data))
    if len(tail) > 2 or bytes(tail).strip(b"\r\n"):
        raise ValueError("bytes follow its end")
    return tuple(outputs)


def _with_classes(outputs: tuple[OutputTensor, ...], raw: Any) -> tuple[OutputTensor, ...]:
    if not isinstance(raw, dict):
        raise TypeError("classes by output are expected")
    return tuple(
        replace(output, classes=_parse_classes(raw[output.name])) if output.name in raw else output
        for output in outputs
    )


def _parse_classes(raw: Any) -> tuple[LikelyClass, ...]:
    return tuple(
        LikelyClass(
            index=_shape([item["index"]])[0],
            label=_text(item["label"]),
            value=oip_values.from_json_number(item["value"]),
        )
        for item in _items(raw, _MAX_CLASSES)
    )


def _parse_timing(raw: Any) -> Timing:
    stages = _items(raw["stages"], _MAX_STAGES)
    return Timing(
        total_s=_seconds(raw["total_ms"]),
        transfer_s=_seconds(raw["transfer_ms"]),
        stages=tuple(map(_parse_stage, stages)),
    )


def _parse_stage(raw: Any) -> StageTiming:
    start, stop = _shape(raw["layers"])
    return StageTiming(
        node=_text(raw["node"]),
        name=_text(raw["name"]),
        layers=LayerRange(start=start, stop=stop),
        queue_s=_seconds(raw["queue_ms"]),
        compute_s=_seconds(raw["compute_ms"]),
    )


def _items(raw: Any, most: int) -> list[Any]:
    if not isinstance(raw, list) or len(raw) > most:
        raise ValueError(f"a list of at most {most} items is expected")
    return raw


def _shape(raw: Any) -> tuple[int, ...]:
    sizes: Iterable[Any] = _items(raw, _MAX_DIMENSIONS)
    if any(type(size) is not int or not 0 <= size < 2**40 for size in sizes):
        raise ValueError("a shape is a list of sizes")
    return tuple(sizes)


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError("a text is expected")
    return raw[:MAX_MESSAGE_CHARS]


def _optional_text(raw: Any) -> str | None:
    return None if raw is None else _text(raw)


def _seconds(raw_ms: Any) -> float:
    if type(raw_ms) not in (int, float) or not 0 <= raw_ms < math.inf:
        raise ValueError("a time in ms is expected")
    return float(raw_ms) / 1000
