import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import OverloadedError
from mesh.transport.send_buffer import SendBuffer


def test_it_is_full_at_its_bound_and_free_again_when_taken() -> None:
    buffer = SendBuffer(max_bytes=100)
    buffer.reserve(60)
    buffer.enter(1, 60)
    with pytest.raises(OverloadedError, match="60 bytes"):
        buffer.reserve(41)
    buffer.reserve(40)
    buffer.take(1)
    assert buffer.waiting_bytes == 40


def test_an_empty_buffer_takes_anything() -> None:
    buffer = SendBuffer(max_bytes=100)
    buffer.reserve(1000)
    with pytest.raises(OverloadedError):
        buffer.reserve(1)


def test_messages_are_bounded_too() -> None:
    buffer = SendBuffer(max_bytes=100, max_messages=2)
    buffer.reserve(0)
    buffer.reserve(0)
    with pytest.raises(OverloadedError):
        buffer.reserve(0)
    buffer.give_back(0)
    buffer.reserve(0)


def test_a_packet_may_be_taken_before_its_size_is_known() -> None:
    buffer = SendBuffer(max_bytes=100)
    buffer.reserve(70)
    buffer.take(5)
    assert buffer.waiting_bytes == 70
    buffer.enter(5, 70)
    assert buffer.waiting_bytes == 0


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=60))
def test_all_that_enters_leaves(steps: list[tuple[int, bool]]) -> None:
    buffer = SendBuffer(max_bytes=10_000)
    for packet_id, (size_bytes, early) in enumerate(steps):
        buffer.reserve(size_bytes)
        if early:
            buffer.take(packet_id)
            buffer.enter(packet_id, size_bytes)
        else:
            buffer.enter(packet_id, size_bytes)
            buffer.take(packet_id)
    assert buffer.waiting_bytes == 0
