"""Decides what kind of request a payload is and reads it; pictures stay undecoded here.

A known content type (MQTT 5, section 3.3.2.3.9) decides. Without one, in this order:

1. PNG's eight magic bytes: a picture; no tensor begins so by chance.
2. `{` and a JSON object with "inputs": Open Inference Protocol, with or without raw tensors
   behind it. A raw tensor may begin with byte 0x7B, but won't go on as JSON.
3. Exactly the bytes of the model's inputs: raw tensors one after the other, unless the payload
   begins *and* ends like a JPEG. JPEG's three first bytes alone are three plausible pixels, so
   they don't outweigh the exact length.
4. JPEG's magic bytes: a picture.

What remains ambiguous (a JPEG as long as the tensor with something appended to it; a tensor made
to look like JSON) is settled by sending a content type.
"""

from collections.abc import Sequence
from typing import NoReturn

from mesh.errors import BadPayloadError, EmptyPayloadError, TooLargeError, WrongShapeError
from mesh.model.tensor import TensorSpec
from mesh.wire import infer, oip, oip_json
from mesh.wire.infer import ImageFormat, ImagePayload, InferRequest, PayloadLimits

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"  # SOI and the next marker's first byte (ITU-T T.81, B.1.1.3)
_JPEG_END = b"\xff\xd9"


def parse_request(
    payload: bytes,
    content_type: str | None,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    limits: PayloadLimits,
) -> InferRequest | ImagePayload:
    """Read one request for a model with these inputs and outputs. Raises: RequestError."""
    _check_size(payload, limits)
    match (content_type or "").partition(";")[0].strip().lower():
        case infer.CONTENT_JSON:
            return oip.parse(payload, inputs, outputs, limits, binary=False)
        case infer.CONTENT_OIP_BINARY:
            return oip.parse(payload, inputs, outputs, limits, binary=True)
        case infer.CONTENT_RAW:
            return _raw(payload, inputs)
        case infer.CONTENT_JPEG | infer.CONTENT_PNG as kind:
            return _image(payload) or _refuse_image(kind)
        case _:
            return _sniff(payload, inputs, outputs, limits)


def _check_size(payload: bytes, limits: PayloadLimits) -> None:
    if not payload:
        raise EmptyPayloadError(
            "The request is empty; mosquitto_rr 2.0.11 sends nothing with -f and -s: "
            'use mosquitto_rr -m "$(cat FILE)" for JSON, or `mesh infer`'
        )
    if len(payload) > limits.max_payload_bytes:
        raise TooLargeError(
            f"The request has {len(payload)} bytes, at most {limits.max_payload_bytes} are served"
        )


def _sniff(
    payload: bytes,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    limits: PayloadLimits,
) -> InferRequest | ImagePayload:
    is_raw_size = len(payload) == _inputs_bytes(inputs)
    image = _image(payload)
    if image is not None and (
        image.format is ImageFormat.PNG or not is_raw_size or payload.endswith(_JPEG_END)
    ):
        return image
    if oip_json.looks_like_object(payload):
        return _json_or_raw(payload, inputs, outputs, limits, is_raw_size=is_raw_size)
    if is_raw_size:
        return _raw(payload, inputs)
    return _refuse(payload, inputs)


def _json_or_raw(
    payload: bytes,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    limits: PayloadLimits,
    *,
    is_raw_size: bool,
) -> InferRequest:
    """Read what begins with a brace; only a tensor's exact length excuses it from being JSON."""
    try:
        root, tail = oip.split(payload, inputs, limits, binary=None)
    except (BadPayloadError, TooLargeError):
        if is_raw_size:
            return _raw(payload, inputs)
        raise
    if is_raw_size and "inputs" not in root:
        return _raw(payload, inputs)
    return oip.request_of(root, tail, inputs, outputs)


def _image(payload: bytes) -> ImagePayload | None:
    if payload.startswith(_PNG):
        return ImagePayload(format=ImageFormat.PNG, data=payload)
    if payload.startswith(_JPEG):
        return ImagePayload(format=ImageFormat.JPEG, data=payload)
    return None


def _refuse_image(kind: str) -> NoReturn:
    raise BadPayloadError(f"The content type is {kind}, but the payload is neither JPEG nor PNG")


def _inputs_bytes(inputs: Sequence[TensorSpec]) -> int:
    return sum(spec.size_bytes for spec in inputs)


def _raw(payload: bytes, inputs: Sequence[TensorSpec]) -> InferRequest:
    if len(payload) != _inputs_bytes(inputs):
        raise WrongShapeError(
            f"Raw tensors need {_inputs_bytes(inputs)} bytes ({_listed(inputs)}), got {len(payload)}"
        )
    if len(inputs) == 1:
        return InferRequest(inputs=(payload,))
    view, offset_bytes = memoryview(payload), 0
    tensors = []
    for spec in inputs:
        tensors.append(bytes(view[offset_bytes : offset_bytes + spec.size_bytes]))
        offset_bytes += spec.size_bytes
    return InferRequest(inputs=tuple(tensors))


def _listed(inputs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name} {spec.data_type.value} {list(spec.shape)}" for spec in inputs)


def _refuse(payload: bytes, inputs: Sequence[TensorSpec]) -> NoReturn:
    raise BadPayloadError(
        f"{len(payload)} bytes are neither Open Inference Protocol JSON, nor JPEG, nor PNG, nor a raw "
        f"tensor: that has {_inputs_bytes(inputs)} bytes ({_listed(inputs)})"
    )
