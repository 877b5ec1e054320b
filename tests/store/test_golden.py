import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import IntegrityError
from mesh.store import golden


def sealed(body: bytes) -> bytes:
    return body + hashlib.sha256(body).digest()


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_outputs_survive(outputs: list[bytes]) -> None:
    assert golden.decode(golden.encode(outputs)) == tuple(outputs)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(content: bytes) -> None:
    for container in (content, sealed(content), sealed(golden.MAGIC + content[:3])):
        with pytest.raises(IntegrityError):
            golden.decode(container)


@pytest.mark.parametrize("sizes", [[3], [4, 0, 2**40], [2**63, 2**63]])
def test_sizes_that_do_not_fit_are_refused(sizes: list[int]) -> None:
    body = golden.MAGIC + struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes) + b"four"
    with pytest.raises(IntegrityError):
        golden.decode(sealed(body))


def test_a_huge_count_is_refused_before_it_is_believed() -> None:
    with pytest.raises(IntegrityError):
        golden.decode(sealed(golden.MAGIC + struct.pack("<I", 2**32 - 1)))


def test_one_changed_bit_is_seen() -> None:
    container = bytearray(golden.encode([b"abc"]))
    container[-40] ^= 1
    with pytest.raises(IntegrityError, match="damaged"):
        golden.decode(bytes(container))
