import contextlib
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import (
    BadPayloadError,
    MeshError,
    RequestError,
    TooLargeError,
    WrongDatatypeError,
    WrongShapeError,
)
from mesh.model.tensor import DataType, TensorSpec
from mesh.wire import oip
from mesh.wire.infer import InferRequest, PayloadLimits, SessionUse
from mesh.wire.oip import MAX_ID_CHARS

FLOATS = TensorSpec(index=0, name="x", data_type=DataType.FP32, shape=(1, 2))
BYTES = TensorSpec(index=1, name="mask", data_type=DataType.UINT8, shape=(3,))
OUTPUTS = tuple(
    TensorSpec(index=i, name=n, data_type=DataType.FP32, shape=(1,))
    for i, n in ((2, "a"), (3, "b"))
)
LIMITS = PayloadLimits(max_payload_bytes=1 << 20, max_header_bytes=4096)
X: dict[str, Any] = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.5, -2]}
MASK: dict[str, Any] = {"name": "mask", "datatype": "UINT8", "shape": [3], "data": [1, 2, 3]}
X_RAW = struct.pack("<2f", 1.5, -2)


def parse(root: Any, tail: bytes = b"", *, binary: bool | None = None) -> InferRequest:
    payload = json.dumps(root).encode() + tail
    return oip.parse(payload, (FLOATS, BYTES), OUTPUTS, LIMITS, binary=binary)


def raw(item: dict[str, Any], size: int) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != "data"} | {
        "parameters": {"binary_data_size": size}
    }


def test_a_full_json_request() -> None:
    request = parse(
        {
            "id": "7",
            "model_name": "ignored",
            "parameters": {"timeout_ms": 250, "binary_data_output": True, "else": 1},
            "inputs": [MASK, X],
            "outputs": [{"name": "b"}, {"name": "a"}],
        }
    )
    assert request == InferRequest(
        id="7",
        inputs=(X_RAW, b"\x01\x02\x03"),
        outputs=("b", "a"),
        timeout_s=0.25,
        binary_output=True,
    )


@pytest.mark.parametrize("binary", [True, None])
def test_raw_tensors_follow_in_the_order_of_the_header(binary: bool | None) -> None:
    request = parse({"inputs": [raw(MASK, 3), raw(X, 8)]}, b"\x01\x02\x03" + X_RAW, binary=binary)
    assert request.inputs == (X_RAW, b"\x01\x02\x03")


def test_raw_and_json_tensors_may_be_mixed() -> None:
    assert parse({"inputs": [X, raw(MASK, 3)]}, b"\n\r\n").inputs == (X_RAW, b"\n\r\n")


def test_the_last_newline_of_a_file_is_excused() -> None:
    assert parse({"inputs": [X, MASK]}, b"\r\n").inputs[0] == X_RAW


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        ([X], BadPayloadError, "'mask' is missing; the model takes 'x', 'mask'"),
        ([X, X, MASK], BadPayloadError, "'x' comes twice"),
        ([X, MASK | {"name": "y"}], BadPayloadError, "'y' is unknown"),
        ([X, {}], BadPayloadError, "name"),
        ([X, None], BadPayloadError, "name"),
        ([], BadPayloadError, "the model takes 'x', 'mask'"),
        ({}, BadPayloadError, "list of tensors"),
        ([X, MASK | {"datatype": "INT8"}], WrongDatatypeError, "\"UINT8\", got 'INT8'"),
        ([X, MASK | {"datatype": "BYTES"}], WrongDatatypeError, "BYTES is not served"),
        ([X, MASK | {"datatype": "u8"}], BadPayloadError, '"UINT8"'),
        ([X, MASK | {"datatype": None}], BadPayloadError, '"UINT8"'),
        ([MASK, X | {"shape": [2]}], WrongShapeError, r"\[1, 2\], got \[2\]"),
        ([MASK, X | {"shape": [1, 2.0]}], BadPayloadError, "shape"),
        ([MASK, X | {"shape": [True, 2]}], BadPayloadError, "shape"),
        ([MASK, X | {"shape": "1,2"}], BadPayloadError, "shape"),
        ([MASK, X | {"data": [1]}], WrongShapeError, "1 elements"),
        ([MASK, X | {"parameters": {"binary_data_size": 8}}], BadPayloadError, "send one"),
        ([MASK, raw(X, 9)], WrongShapeError, "8 bytes"),
        ([MASK, raw(X, 8)], BadPayloadError, "needs 8 raw bytes, 0 are left"),
        ([MASK, raw(X, 8) | {"parameters": 1}], BadPayloadError, "must be an object"),
    ],
)
def test_bad_inputs_are_refused_by_name(inputs: Any, error: type[MeshError], words: str) -> None:
    with pytest.raises(error, match=words):
        parse({"inputs": inputs})


@pytest.mark.parametrize("tail", [b"\x00", b"   ", b"\n" * 100_000, X_RAW])
def test_nothing_may_follow(tail: bytes) -> None:
    with pytest.raises(BadPayloadError, match="follow"):
        parse({"inputs": [X, MASK]}, tail)


@pytest.mark.parametrize(
    "more",
    [
        {"id": 7},
        {"id": "x" * 257},
        {"parameters": []},
        {"parameters": {"timeout_ms": 0}},
        {"parameters": {"timeout_ms": True}},
        {"parameters": {"timeout_ms": "5"}},
        {"parameters": {"timeout_ms": 1e12}},
        {"parameters": {"binary_data_output": 1}},
        {"outputs": "a"},
        {"outputs": {"name": "a"}},
        {"outputs": [{"name": "c"}]},
        {"outputs": [{"name": "a"}, {"name": "a"}]},
        {"outputs": [{"name": 1}]},
        {"outputs": ["a"]},
        {"outputs": [{"name": "a", "parameters": {"binary_data": "yes"}}]},
        {"outputs": [{"name": "a", "parameters": {"binary_data": True}}, {"name": "b"}]},
    ],
)
def test_bad_options_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(BadPayloadError):
        parse({"inputs": [X, MASK]} | more)


def test_an_outputs_own_wish_for_binary_wins() -> None:
    wish = {"name": "a", "parameters": {"binary_data": False}}
    root = {"inputs": [X, MASK], "outputs": [wish], "parameters": {"binary_data_output": True}}
    assert not parse(root).binary_output
    wish["parameters"] = {"binary_data": True}
    assert parse(root | {"parameters": {}}).binary_output


def test_json_far_longer_than_the_inputs_need_is_refused_unparsed() -> None:
    with pytest.raises(TooLargeError, match="raw tensors"):
        parse({"inputs": [X, MASK], "padding": "x" * 5000})


def test_json_content_may_be_longer_than_a_header() -> None:
    spec = TensorSpec(index=0, name="x", data_type=DataType.FP32, shape=(1000,))
    root = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1000], "data": [0.12345678] * 1000}]
    }
    for binary in (False, None):
        request = oip.parse(json.dumps(root).encode(), (spec,), OUTPUTS, LIMITS, binary=binary)
        assert len(request.inputs[0]) == 4000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["name", "datatype", "shape", "data", "parameters", "binary_data_size"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


CANDIDATES = (
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("id", "inputs", "outputs", "parameters"), JSON)
    )
    | JSON.map(lambda value: {"inputs": [X | {"data": value}, MASK]})
    | JSON.map(lambda value: {"inputs": [MASK | {"shape": value}, X]})
)


@given(CANDIDATES)
def test_whatever_json_holds_only_request_errors_come_out(root: dict[str, Any]) -> None:
    with contextlib.suppress(RequestError):
        parse(root)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"inputs": [], "id": "7"}', "7"),
        (b'{"inputs": [], "id": "7"}' + bytes(99), "7"),
        (b'{"id": "7", "inputs": [', "7"),
        (b'{"id": "7", "x": "' + bytes(5000), "7"),
        (b' {"id" : "a\\"\\u00e9"', 'a"é'),
        (b'{"x": "' + b"x" * 5000 + b'", "id": "7"}', None),
        (b'{"id": 7}', None),
        (b'{"id": "' + b"x" * (MAX_ID_CHARS + 1) + b'"', None),
        (b'{"id": "\xff"', None),
        (b'{"id": "\\x"', None),
        (b"\x89PNG", None),
        (b"", None),
    ],
)
def test_the_id_of_a_request_that_cannot_be_served(payload: bytes, expected: str | None) -> None:
    assert oip.id_of(payload, LIMITS) == expected


@given(st.binary(max_size=64) | st.binary(max_size=64).map(lambda tail: b'{"id":"' + tail))
def test_looking_for_an_id_never_fails(payload: bytes) -> None:
    found = oip.id_of(payload, LIMITS)
    assert found is None or len(found) <= MAX_ID_CHARS


def test_a_step_of_a_session() -> None:
    request = parse({"inputs": [X, MASK], "session": "a", "parameters": {"session_start": True}})
    assert request.session == SessionUse(name="a", starts=True)
    assert not request.only_ends


def test_a_session_may_end_without_another_step() -> None:
    request = parse({"session": "a", "session_end": True})
    assert request.session == SessionUse(name="a", ends=True)
    assert request.only_ends


@pytest.mark.parametrize("marks", [{}, {"session_start": True, "session_end": True}])
def test_every_other_request_of_a_session_needs_inputs(marks: dict[str, bool]) -> None:
    with pytest.raises(BadPayloadError, match="inputs"):
        parse({"session": "a", **marks})
