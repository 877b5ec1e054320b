import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh import errors
from mesh.errors import MeshError, OverloadedError, RemoteError
from mesh.model.tensor import DataType, LayerRange
from mesh.wire.infer import (
    ErrorReply,
    InferResponse,
    LikelyClass,
    OutputTensor,
    PayloadLimits,
    StageTiming,
    Timing,
)
from mesh.wire.oip_reply import (
    as_error,
    content_type,
    encode_error,
    encode_response,
    parse_response,
)

LIMITS = PayloadLimits(max_payload_bytes=1 << 20, max_header_bytes=4096)
STAGE = StageTiming(
    node="pi-4",
    name="stage 0",
    layers=LayerRange(start=0, stop=17),
    queue_s=0.001,
    compute_s=0.0255,
)


@st.composite
def tensors(draw: st.DrawFn) -> OutputTensor:
    data_type = draw(st.sampled_from(sorted(DataType, key=lambda kind: kind.value)))
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    count = math.prod(shape)
    data = draw(st.binary(min_size=count, max_size=count).map(lambda b: bytes(x & 1 for x in b)))
    padded = b"".join(bytes([byte] + [0] * (data_type.itemsize_bytes - 1)) for byte in data)
    return OutputTensor(
        name=draw(st.text(max_size=5)),
        data_type=data_type,
        shape=shape,
        data=padded,
        classes=tuple(draw(st.lists(CLASSES, max_size=3))),
    )


CLASSES = st.builds(
    LikelyClass,
    index=st.integers(0, 8191),
    label=st.text(max_size=5),
    value=st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False),
)


RESPONSES = st.builds(
    InferResponse,
    id=st.none() | st.text(max_size=5),
    model_name=st.text(max_size=5),
    model_version=st.just("1"),
    outputs=st.lists(tensors(), max_size=3, unique_by=lambda one: one.name).map(tuple),
    timing=st.sampled_from([None, Timing(total_s=0.0305, transfer_s=0.001, stages=(STAGE, STAGE))]),
)


@given(RESPONSES, st.booleans())
def test_answers_survive_both_forms(response: InferResponse, binary: bool) -> None:
    assert parse_response(encode_response(response, binary=binary), LIMITS) == response


def test_an_answer_is_a_superset_of_the_open_inference_protocol() -> None:
    output = OutputTensor(name="y", data_type=DataType.FP32, shape=(1, 1), data=b"\xcd\xcc\xcc=")
    response = InferResponse(
        id="7",
        model_name="m",
        model_version="2",
        outputs=(output,),
        timing=Timing(total_s=0.03, transfer_s=0.0025, stages=(STAGE,)),
    )
    assert json.loads(encode_response(response, binary=False)) == {
        "id": "7",
        "model_name": "m",
        "model_version": "2",
        "status": "ok",
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [1, 1], "data": [0.10000000149011612]}
        ],
        "timing": {
            "total_ms": 30.0,
            "transfer_ms": 2.5,
            "stages": [
                {
                    "node": "pi-4",
                    "name": "stage 0",
                    "layers": [0, 17],
                    "queue_ms": 1.0,
                    "compute_ms": 25.5,
                }
            ],
        },
    }
    header = encode_response(response, binary=True)
    assert header.endswith(b"\xcd\xcc\xcc=")
    assert json.loads(header[:-4])["outputs"][0]["parameters"] == {"binary_data_size": 4}


@pytest.mark.parametrize("binary", [False, True])
def test_classes_stand_beside_the_outputs_that_have_some(binary: bool) -> None:
    cat = LikelyClass(index=1, label="Kätzchen", value=math.inf)
    dog = LikelyClass(index=0, label="dog", value=0.25)
    scores = OutputTensor(
        name="scores",
        data_type=DataType.FP16,
        shape=(2,),
        data=b"\x004\x00|",
        classes=(cat, dog),
    )
    box = OutputTensor(name="box", data_type=DataType.UINT8, shape=(1,), data=b"5")
    response = InferResponse(id=None, model_name="m", model_version="1", outputs=(scores, box))
    payload = encode_response(response, binary=binary)
    header, _ = json.JSONDecoder().raw_decode(payload.decode("latin-1"))
    assert header["classes"] == {
        "scores": [
            {"index": 1, "label": "Kätzchen", "value": "Infinity"},
            {"index": 0, "label": "dog", "value": 0.25},
        ]
    }
    assert parse_response(payload, LIMITS) == response


def test_the_content_type_names_the_form() -> None:
    assert content_type(binary=False) == "application/json"
    assert content_type(binary=True) == "application/x-oip"


def test_a_long_json_answer_is_read_whole() -> None:
    output = OutputTensor(
        name="y", data_type=DataType.FP32, shape=(20_000,), data=b"\x01\x02\x03\x04" * 20_000
    )
    response = InferResponse(id=None, model_name="m", model_version="", outputs=(output,))
    assert parse_response(encode_response(response, binary=False), LIMITS) == response


@pytest.mark.parametrize("after_s", [None, 0.25])
def test_errors_survive(after_s: float | None) -> None:
    reply = ErrorReply(
        id="7",
        model_name="m",
        message="Busy.",
        code="OVERLOADED",
        retryable=True,
        retry_after_s=after_s,
    )
    assert parse_response(encode_error(reply), LIMITS) == reply
    error = as_error(reply)
    assert type(error) is OverloadedError
    assert str(error) == "Busy."


def test_every_code_comes_back_as_its_class() -> None:
    leaves = [
        cls
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, MeshError) and not cls.__subclasses__()
    ]
    assert len(leaves) > 20
    for leaf in leaves:
        reply = ErrorReply(
            id=None, model_name="", message="x", code=leaf.code, retryable=leaf.retryable
        )
        assert type(as_error(reply)) is leaf


def test_an_unknown_code_is_still_an_error() -> None:
    reply = ErrorReply(id=None, model_name="", message="x", code="NEW", retryable=False)
    assert type(as_error(reply)) is MeshError


OK: dict[str, Any] = {"model_name": "m", "outputs": []}
CLASS: dict[str, Any] = {"index": 1, "label": "cat", "value": 2}
NO_CLASSES: list[Any] = [
    [],
    {"y": None},
    {"y": [None]},
    {"y": [CLASS] * 1025},
    {"y": [CLASS | {"index": -1}]},
    {"y": [CLASS | {"index": 1.0}]},
    {"y": [CLASS | {"label": None}]},
    {"y": [CLASS | {"value": "cat"}]},
    {"y": [CLASS | {"value": True}]},
    {"y": [{}]},
]
OUTPUT: dict[str, Any] = {"name": "y", "datatype": "UINT8", "shape": [2], "data": [1, 2]}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{" * 100_000,
        b"x" * (2 << 20),
        json.dumps({"model_name": "m"}).encode(),
        json.dumps(OK | {"status": "maybe"}).encode(),
        json.dumps(OK | {"outputs": [OUTPUT] * 257}).encode(),
        json.dumps(OK | {"outputs": [OUTPUT | {"shape": [2**41]}]}).encode(),
        json.dumps(OK | {"outputs": [OUTPUT | {"shape": [3]}]}).encode(),
        json.dumps(OK | {"outputs": [OUTPUT | {"datatype": "BYTES"}]}).encode(),
        json.dumps(OK | {"outputs": [None]}).encode(),
        json.dumps(
            OK
            | {
                "outputs": [
                    {
                        "name": "y",
                        "datatype": "UINT8",
                        "shape": [2],
                        "parameters": {"binary_data_size": 2},
                    }
                ]
            }
        ).encode(),
        *(
            json.dumps(OK | {"outputs": [OUTPUT], "classes": classes}).encode()
            for classes in NO_CLASSES
        ),
        json.dumps(OK | {"timing": []}).encode(),
        json.dumps(OK | {"timing": {"total_ms": -1, "stages": []}}).encode(),
        json.dumps(OK | {"timing": {"total_ms": 10**380, "stages": []}}).encode(),
        json.dumps(OK).encode() + b"more",
        json.dumps({"status": "error"}).encode(),
        json.dumps({"status": "error", "error": 1, "code": "X"}).encode(),
    ],
)
def test_replies_outside_the_protocol_are_refused(payload: bytes) -> None:
    with pytest.raises(RemoteError):
        parse_response(payload, LIMITS)
