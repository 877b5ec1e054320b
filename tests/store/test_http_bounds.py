import io
import socket
from collections.abc import Iterator

import pytest

from mesh.store.http_bounds import BoundedReader, HeadTooLongError, HttpLimits

LIMITS = HttpLimits(head_bytes=10, head_s=0.05, silence_s=0.05, least_bytes_per_s=1e9)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        yield here, there


def test_a_head_has_a_bound(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].sendall(b"x" * 20)
    reader = io.BufferedReader(BoundedReader(ends[0], LIMITS))
    with pytest.raises(HeadTooLongError):
        reader.readline()


def test_a_body_ends_at_its_length(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].sendall(b"head\nbody and more")
    raw = BoundedReader(ends[0], HttpLimits(head_bytes=7))
    reader = io.BufferedReader(raw)
    assert reader.readline() == b"head\n"
    raw.begin_body(2)
    assert reader.read(100) == b"body"


def test_silence_is_a_timeout(ends: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(TimeoutError):
        BoundedReader(ends[0], LIMITS).readinto(bytearray(1))


def drip(reader: BoundedReader, sender: socket.socket) -> None:
    while True:
        sender.sendall(b"x")
        reader.readinto(bytearray(1))


def test_drops_of_bytes_do_not_hold_a_connection(ends: tuple[socket.socket, socket.socket]) -> None:
    reader = BoundedReader(ends[0], LIMITS)
    reader.begin_body(1 << 20)
    with pytest.raises(TimeoutError):
        drip(reader, ends[1])
