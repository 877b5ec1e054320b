import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from mesh.client.arrays import as_answer, encode_request
from mesh.errors import BadPayloadError
from mesh.model.tensor import DataType, TensorSpec
from mesh.wire import oip_json
from mesh.wire.infer import (
    CONTENT_OIP_BINARY,
    InferRequest,
    InferResponse,
    LikelyClass,
    OutputTensor,
    PayloadLimits,
)
from mesh.wire.oip_reply import encode_response, parse_response
from mesh.wire.payload import parse_request

DTYPES = [data_type.numpy_name for data_type in DataType]
any_array = arrays_of.arrays(
    st.sampled_from(DTYPES), arrays_of.array_shapes(min_dims=0, min_side=0, max_side=3)
)


def encoded(inputs: dict[str, Any], **changes: Any) -> tuple[Any, bytes]:
    payload = encode_request(inputs, changes.get("outputs"), changes.get("timeout_s", 1.5))("7")
    header, end = oip_json.read_leading_object(payload, max_bytes=1 << 16)
    return header, payload[end:]


@given(any_array)
def test_any_tensor_is_sent_exactly(array: npt.NDArray[Any]) -> None:
    header, tail = encoded({"x": array})
    [item] = header["inputs"]
    assert item["shape"] == list(array.shape)
    assert DataType(item["datatype"]).numpy_name == array.dtype.str
    assert item["parameters"]["binary_data_size"] == len(tail)
    assert tail == array.tobytes()


@given(any_array)
def test_any_tensor_comes_back_exactly(array: npt.NDArray[Any]) -> None:
    data_type = next(one for one in DataType if one.numpy_name == array.dtype.str)
    output = OutputTensor(name="y", data_type=data_type, shape=array.shape, data=array.tobytes())
    response = InferResponse(id="1", model_name="m", model_version="v", outputs=(output,))
    heard = parse_response(encode_response(response, binary=True), PayloadLimits())
    assert isinstance(heard, InferResponse)
    answer = as_answer(heard)
    assert answer.outputs["y"].dtype == array.dtype
    assert answer.outputs["y"].shape == array.shape
    assert answer.outputs["y"].tobytes() == array.tobytes()
    assert not answer.outputs["y"].flags.writeable


def test_the_likeliest_classes_come_by_output() -> None:
    likely = (LikelyClass(index=1, label="cat", value=3),)
    outputs = tuple(
        OutputTensor(name=name, data_type=DataType.UINT8, shape=(2,), data=b"\1\3", classes=classes)
        for name, classes in (("scores", likely), ("others", ()))
    )
    response = InferResponse(id="1", model_name="m", model_version="v", outputs=outputs)
    heard = parse_response(encode_response(response, binary=True), PayloadLimits())
    assert isinstance(heard, InferResponse)
    assert as_answer(heard).classes == {"scores": likely}


def test_a_node_understands_it() -> None:
    specs = tuple(
        TensorSpec(index=i, name=name, data_type=DataType.FP32, shape=(1, 2))
        for i, name in enumerate("ab")
    )
    b, a = np.array([[1, 2]], np.float32), np.array([[3, 4]], np.float32)
    payload = encode_request({"b": b, "a": a}, ["a"], 1.5)("7")
    request = parse_request(payload, CONTENT_OIP_BINARY, specs, specs[:1], PayloadLimits())
    assert isinstance(request, InferRequest)
    assert request.inputs == (a.tobytes(), b.tobytes())
    assert request.outputs == ("a",)
    assert request.timeout_s == 1.5
    assert request.binary_output


def test_outputs_and_timeout() -> None:
    header, _ = encoded({})
    assert "outputs" not in header
    assert header["parameters"] == {"binary_data_output": True, "timeout_ms": 1500}
    header, _ = encoded({}, outputs=["a", "b"], timeout_s=0.0004)
    assert header["outputs"] == [{"name": "a"}, {"name": "b"}]
    assert header["parameters"]["timeout_ms"] == 0
    assert json.dumps(header)


@pytest.mark.parametrize(
    ("value", "shape", "tail"),
    [
        (np.array([1, 2], ">f4"), [2], np.array([1, 2], "<f4").tobytes()),
        (np.arange(6, dtype=np.uint8).reshape(2, 3).T, [3, 2], bytes([0, 3, 1, 4, 2, 5])),
        ([[True, False]], [1, 2], b"\x01\x00"),
        (3.0, [], np.float64(3.0).tobytes()),
        (np.empty((0, 3), np.float32), [0, 3], b""),
    ],
)
def test_byte_order_memory_order_and_lists(
    value: npt.ArrayLike, shape: list[int], tail: bytes
) -> None:
    header, sent = encoded({"x": value})
    assert (header["inputs"][0]["shape"], sent) == (shape, tail)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (np.array([1j]), "complex128"),
        (np.array(["text"]), "dtype <U4"),
        (np.array([object()]), "dtype object"),
        (np.array(["2024-01-01"], "datetime64[D]"), "datetime64"),
        ([[1, 2], [3]], "is no tensor"),
    ],
)
def test_what_is_no_tensor_is_refused(value: Any, why: str) -> None:
    with pytest.raises(BadPayloadError, match=f"input 'x' .*{why}"):
        encode_request({"x": value}, None, 1.0)
