from pathlib import Path

import pytest

from mesh.device.system_files import read_integer, read_text


def test_ends_are_stripped(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"Board\xff Rev 1\0\n")
    assert read_text(tmp_path / "model") == "Board\ufffd Rev 1"


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert read_text(tmp_path / "absent") is None
    assert read_text(tmp_path) is None
    assert read_integer(tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("42\n", 42), ("-256000", -256000), ("max", None), ("", None), ("1 2", None)],
)
def test_integers(tmp_path: Path, text: str, number: int | None) -> None:
    (tmp_path / "file").write_text(text)
    assert read_integer(tmp_path / "file") == number


def test_a_file_without_end_is_cut(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x" * 100_000)
    assert len(read_text(tmp_path / "file") or "") == 64 << 10
