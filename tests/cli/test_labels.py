"""A file of class names."""

from pathlib import Path

import pytest

from mesh.cli.labels import read_labels
from mesh.errors import UsageError


def test_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("tench\r\n goldfish \n\nstarfish\n", encoding="utf-8")
    assert read_labels(path) == ("tench", "goldfish", "", "starfish")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe", "cannot be read"),
        (b"a\n" * 9000, "at most 8192 labels"),
        (b"x" * 8_000_000, "at most 8192 labels"),
        (b"ok\nbell\x07", "line 2: a label is printable"),
        (b"x" * 129, "line 1: a label is printable and has at most 128"),
    ],
)
def test_refusals(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        read_labels(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_labels(tmp_path / "none")
