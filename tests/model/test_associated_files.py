import random
import struct
import zipfile
from io import BytesIO

import pytest

from mesh.errors import ModelError
from mesh.model.associated_files import MAX_FILE_BYTES, MAX_FILES, Archive, find_archive

_HEAD = b"TFL3" * 25
_FILES = {"labels.txt": b"cat\ndog\n", "more.txt": b"x" * 5000}


def _packed(files: dict[str, bytes], *, head: bytes = _HEAD, is_appended: bool = True) -> bytes:
    """A file with an archive behind it; appended as by zip tools, or one that was only joined on."""
    joined = BytesIO(head if is_appended else b"")
    with zipfile.ZipFile(joined, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            method = zipfile.ZIP_STORED if name.startswith("s") else zipfile.ZIP_DEFLATED
            archive.writestr(name, content, method)
    return joined.getvalue() if is_appended else head + joined.getvalue()


def _found(file: bytes) -> Archive:
    archive = find_archive(memoryview(file))
    assert archive is not None
    return archive


@pytest.mark.parametrize("is_appended", [True, False])
def test_files_behind_the_model_are_read(is_appended: bool) -> None:
    archive = _found(_packed({**_FILES, "stored": b"as it is"}, is_appended=is_appended))

    assert archive.start == len(_HEAD)
    assert archive.names == ("labels.txt", "more.txt", "stored")
    assert archive.read("labels.txt") == _FILES["labels.txt"]
    assert archive.read("more.txt") == _FILES["more.txt"]
    assert archive.read("stored") == b"as it is"


@pytest.mark.parametrize("is_appended", [True, False])
@pytest.mark.parametrize("head", [b"", b"a shorter head", b"a longer head" * 99])
def test_a_moved_archive_is_whole(head: bytes, is_appended: bool) -> None:
    archive = _found(_packed(_FILES, is_appended=is_appended))

    moved = head + b"".join(archive.moved(len(head)))

    assert _found(moved).read("labels.txt") == _FILES["labels.txt"]
    with zipfile.ZipFile(BytesIO(moved)) as known:
        assert known.testzip() is None
        assert known.namelist() == list(_FILES)


@pytest.mark.parametrize("file", [b"", b"TFL3" * 9, _HEAD + b"PK\x05\x06" + bytes(99)])
def test_a_file_without_archive_has_none(file: bytes) -> None:
    assert find_archive(memoryview(file)) is None


def test_an_empty_archive_has_no_files() -> None:
    assert _found(_packed({})).names == ()


def test_what_is_too_large_is_refused() -> None:
    bomb = _found(_packed({"bomb": bytes(MAX_FILE_BYTES + 1)}))
    with pytest.raises(ModelError, match=f"the limit is {MAX_FILE_BYTES}"):
        bomb.read("bomb")
    with pytest.raises(ModelError, match=f"the limit is {MAX_FILES}"):
        find_archive(memoryview(_packed({f"{i}": b"" for i in range(MAX_FILES + 1)})))


def test_what_is_packed_into_too_much_is_refused_unread() -> None:
    file = bytearray(_packed({"stuffed": bytes(MAX_FILE_BYTES + 1)}))
    entry = file.rindex(b"PK\x01\x02")
    struct.pack_into("<I", file, entry + 24, 100)  # APPNOTE.TXT 4.3.12: its size when unpacked

    with pytest.raises(ModelError, match=f"has {MAX_FILE_BYTES + 1} bytes; the limit is"):
        _found(bytes(file)).read("stuffed")


def test_a_file_larger_than_it_says_is_damage() -> None:
    file = bytearray(_packed({"bomb": bytes(1 << 20)}))
    sizes = struct.pack("<I", 1 << 20)
    for _ in range(2):
        at = file.index(sizes)
        file[at : at + 4] = struct.pack("<I", 100)

    with pytest.raises(ModelError, match="'bomb' is damaged"):
        _found(bytes(file)).read("bomb")


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match=r"names 'other\.txt', which it lacks"):
        _found(_packed(_FILES)).read("other.txt")


def test_damaged_archives_raise_model_errors_only() -> None:
    chance = random.Random(1)
    sound = _packed(_FILES)
    for _ in range(3000):
        file = bytearray(sound)
        for _ in range(chance.choice((1, 2, 6))):
            file[chance.randrange(len(_HEAD), len(file))] = chance.randrange(256)
        try:
            archive = find_archive(memoryview(bytes(file)))
            for name in archive.names if archive else ():
                archive.read(name)  # type: ignore[union-attr]
            if archive is not None:
                b"".join(archive.moved(8))
        except ModelError:
            continue
