import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.model.tensor import DataType, TensorSpec
from mesh.runtime.control import (
    MAX_MESSAGE_BYTES,
    MAX_TEXT_BYTES,
    LoadRequest,
    Package,
    Reply,
    ReplyKind,
    decode_load,
    decode_reply,
    encode_load,
    encode_reply,
)

specs = st.builds(
    TensorSpec,
    index=st.integers(0, 1 << 31),
    name=st.just(""),
    data_type=st.sampled_from(DataType),
    shape=st.lists(st.integers(0, 1 << 31), max_size=6).map(tuple),
)
requests = st.builds(
    LoadRequest,
    package=st.sampled_from(Package),
    path=st.text(max_size=200),
    threads=st.integers(1, 64),
    inputs=st.lists(specs, max_size=5).map(tuple),
    outputs=st.lists(specs, max_size=5).map(tuple),
    use_xnnpack=st.booleans(),
    memory_bytes=st.none() | st.integers(1, 1 << 40),
)
replies = st.builds(
    Reply,
    kind=st.sampled_from(ReplyKind),
    compute_s=st.floats(0, 1000),
    text=st.text(max_size=200),
)


@given(requests)
def test_load_requests_survive_the_way(request: LoadRequest) -> None:
    assert decode_load(encode_load(request)) == request


@given(replies)
def test_replies_survive_the_way(reply: Reply) -> None:
    assert decode_reply(encode_reply(reply)) == reply


@pytest.mark.parametrize("compute_s", [-1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_is_a_damaged_reply(compute_s: float) -> None:
    with pytest.raises(ValueError, match="a run of"):
        decode_reply(encode_reply(Reply(kind=ReplyKind.DONE, compute_s=compute_s)))


@given(st.binary(max_size=64))
def test_a_damaged_reply_is_a_value_error_at_most(message: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert decode_reply(message).kind in ReplyKind


def test_a_long_complaint_is_cut() -> None:
    message = encode_reply(Reply(kind=ReplyKind.FAILED, text="é" * MAX_TEXT_BYTES))
    assert len(message) < MAX_MESSAGE_BYTES
    assert decode_reply(message).text.startswith("éé")


def test_a_request_too_long_for_a_message_is_refused() -> None:
    spec = TensorSpec(index=0, name="", data_type=DataType.FP32, shape=(1, 2, 3))
    request = LoadRequest(
        package=Package.LITERT, path="/x", threads=1, inputs=(spec,) * 9000, outputs=()
    )
    with pytest.raises(ValueError, match="9000 inputs and 0 outputs"):
        encode_load(request)
