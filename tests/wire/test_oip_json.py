import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import BadPayloadError
from mesh.wire import oip_json


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"a":' + b"9" * 1_000_000 + b"}",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1} 2',
        b'{"a": "\xff"}',
        b"[1]",
        b"{",
        b"",
    ],
    ids=["lists", "objects", "digits", "nan", "inf", "more", "utf8", "list", "cut", "empty"],
)
def test_hostile_or_broken_json_is_a_bad_payload(payload: bytes) -> None:
    with pytest.raises(BadPayloadError):
        oip_json.read_object(payload)


@pytest.mark.parametrize(
    "payload",
    [b"[" * 200_000, b'{"a":' * 100_000, b'{"a": NaN}', b'{"a": "\xff"}', b"[1]", b"{", b""],
)
def test_a_hostile_or_broken_header_is_a_bad_payload(payload: bytes) -> None:
    with pytest.raises(BadPayloadError):
        oip_json.read_leading_object(payload, max_bytes=1 << 16)


@given(st.binary(max_size=64), st.text(max_size=10))
def test_the_header_ends_at_its_last_brace_whatever_follows(tail: bytes, text: str) -> None:
    header = ('{"inputs": {"é' + repr(text).replace('"', "").replace("\\", "") + '": 1}}').encode()
    _, end = oip_json.read_leading_object(header + tail, max_bytes=1 << 16)
    assert end == len(header)


def test_leading_white_space_counts_to_the_header() -> None:
    assert oip_json.read_leading_object(b' \n{"a":1}\xff', max_bytes=99) == ({"a": 1}, 9)


def test_a_header_beyond_the_bound_is_not_searched_for() -> None:
    payload = b'{"a": "' + b"x" * 100 + b'"}'
    with pytest.raises(BadPayloadError, match="first 50 bytes"):
        oip_json.read_leading_object(payload, max_bytes=50)


@pytest.mark.parametrize(
    ("payload", "expected"), [(b" {", True), (b"{", True), (b"x{", False), (b"", False)]
)
def test_only_a_brace_begins_an_object(payload: bytes, expected: bool) -> None:
    assert oip_json.looks_like_object(payload) is expected


def test_an_id_that_comes_first_is_found_whatever_follows() -> None:
    assert oip_json.leading_id(b'\n{ "id":"a b", \xff', max_chars=3) == "a b"
    assert oip_json.leading_id(b'{"id":"a b"', max_chars=2) is None
    assert oip_json.leading_id(b'{"x":1,"id":"a"}', max_chars=9) is None
