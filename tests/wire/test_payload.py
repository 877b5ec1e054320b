import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import (
    BadPayloadError,
    EmptyPayloadError,
    RequestError,
    TooLargeError,
    WrongShapeError,
)
from mesh.model.tensor import DataType, TensorSpec
from mesh.wire.infer import ImageFormat, ImagePayload, InferRequest, PayloadLimits
from mesh.wire.payload import parse_request

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff\xe0"
LIMITS = PayloadLimits(max_payload_bytes=4096, max_header_bytes=1024)


def spec(size: int, name: str = "x", index: int = 0) -> TensorSpec:
    return TensorSpec(index=index, name=name, data_type=DataType.UINT8, shape=(size,))


def parse(
    payload: bytes, size: int, content_type: str | None = None
) -> InferRequest | ImagePayload:
    return parse_request(payload, content_type, (spec(size),), (spec(1, "y", 1),), LIMITS)


def oip(size: int) -> bytes:
    item = {"name": "x", "datatype": "UINT8", "shape": [size], "data": [7] * size}
    return json.dumps({"inputs": [item]}).encode()


def test_an_empty_payload_says_what_may_have_happened() -> None:
    for content_type in (None, "application/json", "image/png"):
        with pytest.raises(EmptyPayloadError, match="mosquitto_rr"):
            parse(b"", 4, content_type)


def test_a_payload_over_the_limit_is_refused() -> None:
    with pytest.raises(TooLargeError, match="4096"):
        parse(b"x" * 4097, 4097)


def test_a_bare_tensor_of_the_exact_length() -> None:
    assert parse(b"abcd", 4) == InferRequest(inputs=(b"abcd",))


def test_several_bare_tensors_in_the_models_order() -> None:
    inputs = (spec(2), spec(3, "z", 1))
    assert parse_request(b"aabbb", None, inputs, (), LIMITS) == InferRequest(inputs=(b"aa", b"bbb"))


def test_json_without_a_content_type() -> None:
    assert parse(oip(4), 4) == InferRequest(inputs=(b"\7" * 4,))
    assert parse(b"\n " + oip(4), 4) == InferRequest(inputs=(b"\7" * 4,))


def test_pictures_by_their_magic() -> None:
    assert parse(PNG + b"...", 4) == ImagePayload(format=ImageFormat.PNG, data=PNG + b"...")
    assert parse(JPEG + b"...", 4) == ImagePayload(format=ImageFormat.JPEG, data=JPEG + b"...")


def test_png_magic_outweighs_the_exact_length() -> None:
    assert isinstance(parse(PNG, 8), ImagePayload)


def test_a_tensor_that_begins_like_a_jpeg_is_a_tensor() -> None:
    tensor = JPEG + b"1234"
    assert parse(tensor, len(tensor)) == InferRequest(inputs=(tensor,))


def test_a_jpeg_of_exactly_the_tensors_length_is_a_picture() -> None:
    picture = JPEG + b"1234\xff\xd9"
    assert isinstance(parse(picture, len(picture)), ImagePayload)
    assert isinstance(parse(picture, len(picture), "application/octet-stream"), InferRequest)


@pytest.mark.parametrize("tensor", [b"{bcd", b"{}", b'{"a": 1}', b"{" * 2000, b'{"inputs": '])
def test_a_tensor_that_begins_like_json_is_a_tensor(tensor: bytes) -> None:
    assert parse(tensor, len(tensor)) == InferRequest(inputs=(tensor,))


def test_a_request_of_exactly_the_tensors_length_is_a_request() -> None:
    payload = oip(4)
    with pytest.raises(WrongShapeError, match="got"):
        parse(payload, len(payload))


@pytest.mark.parametrize("payload", [b"{bcd", b'{"inputs": 1}', b'{"a": 1}'])
def test_what_begins_like_json_and_fits_nothing_is_told_about_json(payload: bytes) -> None:
    with pytest.raises(BadPayloadError, match=r"JSON|inputs"):
        parse(payload, 999)


def test_what_fits_nothing_is_told_what_would_fit() -> None:
    with pytest.raises(BadPayloadError, match=r"3 bytes .* 4 bytes \(x UINT8 \[4\]\)"):
        parse(b"abc", 4)


@pytest.mark.parametrize(
    ("content_type", "payload"),
    [
        ("application/json", b"abcd"),
        ("application/json; charset=utf-8", PNG),
        ("APPLICATION/JSON", oip(4) + b"\0"),
        ("application/x-oip", b"abcd"),
        ("application/octet-stream", oip(4)),
        ("application/octet-stream", PNG),
        ("image/png", b"abcd"),
        ("image/jpeg", oip(4)),
    ],
)
def test_a_content_type_wins_over_what_the_payload_looks_like(
    content_type: str, payload: bytes
) -> None:
    with pytest.raises(RequestError):
        parse(payload, 4, content_type)


def test_each_content_type_takes_its_own() -> None:
    assert parse(oip(4), 4, "application/json") == InferRequest(inputs=(b"\7" * 4,))
    assert parse(oip(4), 4, "application/x-oip") == InferRequest(inputs=(b"\7" * 4,))
    assert parse(b"{}", 2, "application/octet-stream") == InferRequest(inputs=(b"{}",))
    assert isinstance(parse(JPEG, 4, "image/png"), ImagePayload)
    assert parse(b"abcd", 4, "text/plain") == InferRequest(inputs=(b"abcd",))


@given(st.binary(min_size=1, max_size=64), st.sampled_from([b"", b"{", PNG, JPEG, b'{"inputs":']))
def test_any_payload_of_the_exact_length_is_served(tail: bytes, head: bytes) -> None:
    tensor = head + tail
    request = parse(tensor, len(tensor))
    is_jpeg = tensor.startswith(b"\xff\xd8\xff") and tensor.endswith(b"\xff\xd9")
    if tensor.startswith(PNG) or is_jpeg:
        assert isinstance(request, ImagePayload)
    else:
        assert request == InferRequest(inputs=(tensor,))


@given(
    st.binary(max_size=200),
    st.sampled_from([None, "application/json", "application/x-oip", "image/png"]),
)
def test_any_bytes_give_a_value_or_a_request_error(
    payload: bytes, content_type: str | None
) -> None:
    with contextlib.suppress(RequestError):
        parse(payload, 4, content_type)
