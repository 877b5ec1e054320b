import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mesh.errors import StoreError
from mesh.store.incoming import (
    RESERVE_BYTES,
    check_free,
    mapped_os_errors,
    receiving,
    write_atomically,
)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_kept_file_appears_whole_and_the_temporary_one_is_gone(tmp_path: Path) -> None:
    with receiving(tmp_path, max_bytes=6) as file:
        file.write(b"abc")
        file.write(b"def")
        assert not (tmp_path / "x").exists()
        file.keep(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"abcdef"
    assert names(tmp_path) == ["x"]


def test_a_file_not_kept_leaves_nothing(tmp_path: Path) -> None:
    with receiving(tmp_path, max_bytes=6) as file:
        file.write(b"abc")
        assert file.sha256().startswith("ba7816bf")
    assert names(tmp_path) == []


def test_more_than_announced_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="too large"), receiving(tmp_path, max_bytes=2) as file:
        file.write(b"abc")
    assert names(tmp_path) == []


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    write_atomically(tmp_path / "x", b"old")
    with receiving(tmp_path, max_bytes=9) as file:
        file.write(b"new")
    assert (tmp_path / "x").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EACCES, "permissions")]
)
def test_os_errors_say_what_to_do(number: int, words: str) -> None:
    with pytest.raises(StoreError, match=words), mapped_os_errors("Writing"):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("free", [0, RESERVE_BYTES, RESERVE_BYTES + 9])
def test_the_reserve_stays_free(tmp_path: Path, free: int) -> None:
    free_bytes: Callable[[Path], int] = lambda _folder: free  # noqa: E731
    with pytest.raises(StoreError, match="free some space"):
        check_free(tmp_path, 10, free_bytes)


def test_a_missing_folder_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError), receiving(tmp_path / "none", max_bytes=1):
        pass
