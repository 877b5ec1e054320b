import struct
import zlib
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesh.errors import RemoteError
from mesh.ids import Epoch, NodeId, PlanId, RequestKey, SessionKey
from mesh.wire import refusal
from mesh.wire.frame import (
    ALIGNMENT_BYTES,
    MAX_ERROR_BYTES,
    MAX_TENSORS,
    MAX_TIMINGS,
    Frame,
    FrameKind,
    FrameTensor,
    SessionStep,
    StageTime,
    decode,
    encode,
)
from mesh.wire.refusal import MAX_MESSAGE_CHARS, Refusal

MAX_BYTES = 1 << 20
FIXED_BYTES = 64
HEX = "0123456789abcdef"

ids = st.text(HEX, min_size=16, max_size=16)
micros = st.integers(0, 2**32 - 1).map(lambda us: us / 1e6)
stage_numbers = st.integers(0, 2**8 - 1)
timings = st.lists(
    st.builds(
        StageTime, stage=stage_numbers, replica=stage_numbers, queue_s=micros, compute_s=micros
    ),
    max_size=4,
).map(tuple)
tensors = st.lists(
    st.builds(FrameTensor, index=st.integers(0, 2**32 - 1), data=st.binary(max_size=130)),
    max_size=4,
).map(tuple)

steps = st.builds(
    SessionStep,
    key=st.binary(min_size=16, max_size=16).map(SessionKey),
    number=st.integers(0, 2**32 - 1),
    ends=st.booleans(),
)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    kind = draw(st.sampled_from(FrameKind))
    is_error = kind is FrameKind.ERROR
    is_step = kind in (FrameKind.STEP, FrameKind.DROP)
    return Frame(
        kind=kind,
        request_key=RequestKey(draw(st.binary(min_size=16, max_size=16))),
        sender=NodeId(draw(ids)),
        plan_id=PlanId(draw(ids)),
        epoch=Epoch(draw(st.integers(0, 2**64 - 1))),
        stage=draw(stage_numbers),
        way=draw(stage_numbers),
        attempt=draw(st.integers(0, 255)),
        time_left_s=draw(st.floats(0, 86400, width=32)),
        timings=draw(timings),
        tensors=() if is_error else draw(tensors),
        error=draw(st.binary(max_size=200)) if is_error else b"",
        step=draw(steps) if is_step else None,
    )


def read(payload: bytes) -> Frame:
    return decode(payload, max_bytes=MAX_BYTES)


def signed(payload: bytes) -> bytes:
    """The payload with the checksum it should have."""
    return payload[:4] + zlib.crc32(payload[8:]).to_bytes(4, "little") + payload[8:]


def an_error_saying(message: str) -> Frame:
    told = refusal.encode(Refusal(code="WRONG_RESULT", message=message, retryable=False))
    return Frame(kind=FrameKind.ERROR, request_key=KEY, sender=SENDER, error=told)


KEY = RequestKey(bytes(range(16)))
SENDER = NodeId("0123456789abcdef")
SAMPLE = Frame(
    kind=FrameKind.ACTIVATION,
    request_key=KEY,
    sender=SENDER,
    plan_id=PlanId("fedcba9876543210"),
    epoch=Epoch(7),
    stage=1,
    attempt=2,
    time_left_s=1.5,
    timings=(StageTime(stage=0, queue_s=0.25, compute_s=0.5),),
    tensors=(FrameTensor(index=3, data=b"abc"), FrameTensor(index=9, data=b"x" * 64)),
)


@given(frames())
def test_what_is_encoded_comes_back(frame: Frame) -> None:
    assert read(encode(frame)) == frame


@given(frames())
def test_tensors_are_views_and_frames_of_tensors_fill_whole_lines(frame: Frame) -> None:
    payload = encode(frame)
    for tensor in read(payload).tensors:
        assert isinstance(tensor.data, memoryview)
        assert tensor.data.obj is payload
    if frame.kind is not FrameKind.ERROR:
        assert len(payload) % ALIGNMENT_BYTES == 0


def test_each_tensor_starts_at_a_multiple_of_the_alignment() -> None:
    payload = encode(SAMPLE)
    assert payload.index(b"abc") % ALIGNMENT_BYTES == 0
    assert payload.index(b"x" * 64) % ALIGNMENT_BYTES == 0


@given(frames(), st.data())
def test_a_changed_byte_is_noticed(frame: Frame, data: st.DataObject) -> None:
    payload = bytearray(encode(frame))
    position = data.draw(st.integers(0, len(payload) - 1))
    payload[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RemoteError):
        read(bytes(payload))


def test_each_changed_byte_of_a_frame_is_noticed() -> None:
    whole = encode(SAMPLE)
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        with pytest.raises(RemoteError):
            read(bytes(damaged))


@given(frames(), st.data())
def test_a_changed_byte_under_a_sound_checksum_gives_a_frame_or_a_remote_error(
    frame: Frame, data: st.DataObject
) -> None:
    payload = bytearray(encode(frame))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(4, min(len(payload) - 1, 200)))
        payload[position] = data.draw(st.integers(0, 255))
    forged = signed(bytes(payload))
    try:
        opened = read(forged)
    except RemoteError:
        return
    assert read(encode(opened)) == opened


def test_each_cut_of_a_frame_is_noticed_also_under_a_sound_checksum() -> None:
    whole = encode(SAMPLE)
    for length in range(len(whole)):
        for cut in (whole[:length], signed(whole[:length])):
            with pytest.raises(RemoteError):
                read(cut)


@given(st.binary(max_size=300))
@example(b"")
@example(b"EMF1" + bytes(60))
def test_any_bytes_are_refused(payload: bytes) -> None:
    for forged in (payload, signed(b"EMF1" + payload)):
        with pytest.raises(RemoteError):
            read(forged)


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(RemoteError, match="do not fill"):
        read(signed(encode(SAMPLE) + bytes(64)))


def test_a_frame_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(RemoteError, match="allowed"):
        decode(encode(SAMPLE), max_bytes=100)


def test_another_protocol_version_is_refused() -> None:
    with pytest.raises(RemoteError, match="protocol version"):
        read(b"EMF2" + encode(SAMPLE)[4:])


# Offsets of the fixed part: kind 8, attempt 9, stage 10, timings 12, tensors 14, header bytes 16.


@pytest.mark.parametrize(
    ("offset", "layout", "value", "words"),
    [
        (8, "<B", 0, "unknown kind"),
        (8, "<B", 77, "unknown kind"),
        (12, "<H", MAX_TIMINGS + 1, "stage times"),
        (12, "<H", 0xFFFF, "stage times"),
        (14, "<H", MAX_TENSORS + 1, "tensors"),
        (14, "<H", 0xFFFF, "tensors"),
        (14, "<H", 9, "header length"),
        (12, "<H", 200, "header length"),
        (16, "<I", 0, "header length"),
        (16, "<I", 192, "header length"),
        (16, "<I", 0xFFFFFFFF, "header length"),
        (60, "<f", float("nan"), "time left"),
        (60, "<f", float("inf"), "time left"),
        (60, "<f", -1.0, "time left"),
        (FIXED_BYTES + 10 + 4, "<Q", 2**64 - 1, "past the end"),
        (FIXED_BYTES + 10 + 4, "<Q", 65, "past the end|do not fill"),
    ],
)
def test_hostile_numbers_are_refused(offset: int, layout: str, value: float, words: str) -> None:
    payload = bytearray(encode(SAMPLE))
    struct.pack_into(layout, payload, offset, value)
    with pytest.raises(RemoteError, match=words):
        read(signed(bytes(payload)))


def test_counts_at_their_limits_are_taken() -> None:
    crowded = replace(
        SAMPLE,
        timings=SAMPLE.timings * MAX_TIMINGS,
        tensors=tuple(FrameTensor(index=i, data=b"") for i in range(MAX_TENSORS)),
    )
    assert read(encode(crowded)) == crowded


def test_times_are_kept_to_the_microsecond_and_within_their_bounds() -> None:
    odd = StageTime(stage=0, queue_s=-1.0, compute_s=1e9)
    (seen,) = read(encode(replace(SAMPLE, timings=(odd,)))).timings
    assert seen.queue_s == 0.0
    assert seen.compute_s == (2**32 - 1) / 1e6


@pytest.mark.parametrize("letter", ["a", '"', "\0", "é", "→", "\U0001f600"])
def test_the_longest_message_fits_into_an_error_frame(letter: str) -> None:
    frame = an_error_saying(letter * MAX_MESSAGE_CHARS)
    assert refusal.decode(read(encode(frame)).error).message == letter * MAX_MESSAGE_CHARS


def test_an_error_frame_that_is_too_long_is_refused() -> None:
    frame = replace(an_error_saying(""), error=b"x" * (MAX_ERROR_BYTES + 1))
    with pytest.raises(RemoteError, match="too long"):
        read(encode(frame))


@pytest.mark.parametrize("kind", FrameKind)
def test_only_frames_of_sessions_say_which_step_they_are(kind: FrameKind) -> None:
    step = SessionStep(key=SessionKey(bytes(16)), number=1)
    is_step = kind in (FrameKind.STEP, FrameKind.DROP)
    with pytest.raises(ValueError, match="do not fit"):
        Frame(kind=kind, request_key=KEY, sender=SENDER, step=None if is_step else step)


def test_a_step_that_neither_ends_nor_goes_on_is_refused() -> None:
    step = SessionStep(key=SessionKey(b"s" * 16), number=3, ends=True)
    frame = Frame(kind=FrameKind.STEP, request_key=KEY, sender=SENDER, step=step)
    payload = bytearray(encode(frame))
    payload[payload.index(b"s" * 16) + 20] = 2
    with pytest.raises(RemoteError, match="neither ends"):
        read(signed(bytes(payload)))
