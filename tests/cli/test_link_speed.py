import argparse
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.cli.link_speed import bytes_per_s


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("940mbit", 117.5e6),
        ("940 Mbit/s", 117.5e6),
        ("1gbit", 125e6),
        ("2.5Gbps", 312.5e6),
        ("300kbit", 37_500),
        ("9600bps", 1200),
        ("100Mb/s", 12.5e6),
        ("50MB/s", 50e6),
        ("50MBps", 50e6),
        ("1kB/s", 1000),
    ],
)
def test_bits_and_bytes(text: str, expected: float) -> None:
    assert bytes_per_s(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "fast", "940", "-1mbit", "0mbit", "1tbit", "9999999gbit"])
def test_no_speed(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"no speed (of a link: write|that)"):
        bytes_per_s(text)


@given(st.text(max_size=20))
def test_any_word_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(argparse.ArgumentTypeError):
        assert bytes_per_s(text) > 0
