"""Words of a command line become values, or a sentence that says what is wrong."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.cli import options
from mesh.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1048576", 1 << 20),
        ("512MiB", 512 << 20),
        ("512mb", 512 << 20),
        ("512 M", 512 << 20),
        ("1.5GiB", 3 << 29),
        ("2G", 2 << 30),
        ("64k", 64 << 10),
        ("10B", 10),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert options.size_bytes(text) == size_bytes


@pytest.mark.parametrize(
    ("convert", "text"),
    [
        (options.size_bytes, "lots"),
        (options.size_bytes, "-1"),
        (options.size_bytes, "1e999"),
        (options.size_bytes, ""),
        (options.seconds, "0"),
        (options.seconds, "nan"),
        (options.seconds, "86401"),
        (options.decimal, "inf"),
        (options.decimal, "x"),
        (options.at_least_one, "0"),
        (options.at_least_one, "1.5"),
        (options.at_least_one, "9" * 30),
        (options.not_negative, "-1"),
        (options.existing_file, "/no/such/file"),
        (options.existing_file, "/"),
    ],
)
def test_refusals(convert: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        convert(text)


@given(st.text(max_size=20))
def test_no_text_surprises_a_converter(text: str) -> None:
    for convert in (options.size_bytes, options.seconds, options.not_negative):
        try:
            found = convert(text)
        except argparse.ArgumentTypeError:
            continue
        assert found >= 0


def test_a_file_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.touch()
    assert options.existing_file(str(path)) == path


def test_a_parser_raises_and_points_at_its_help() -> None:
    parser = options.Parser(prog="mesh status")
    options.add_connection(parser, timeout_s=7)
    options.add_json(parser)
    with pytest.raises(UsageError, match=r"--bogus \(see `mesh status --help`\)"):
        parser.parse_args(["--bogus"])
    args = parser.parse_args(["--interface", "1.2.3.4", "--interface", "::1", "--json"])
    assert args.mdns_interfaces == ["1.2.3.4", "::1"]
    assert (args.timeout, args.json, args.url) == (7, True, None)
