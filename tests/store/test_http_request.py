import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.store.http_request import (
    ByteRange,
    Collection,
    UnsatisfiableRangeError,
    parse_length,
    parse_path,
    parse_range,
)

ID = "0123456789abcdef" * 4


def test_only_two_kinds_of_path_exist() -> None:
    for collection in Collection:
        resource = parse_path(f"/{collection.value}/{ID}")
        assert resource is not None
        assert resource.path == f"/{collection.value}/{ID}"


@pytest.mark.parametrize(
    "target",
    [
        "/",
        f"/models/{ID}/",
        f"/models/{ID}?x=1",
        f"/models/{ID[:-1]}",
        f"/models/{ID.upper()}",
        f"//models/{ID}",
        f"/models/../models/{ID}",
        f"/models/..%2f{ID}",
        f"/partial/{ID}",
        f"/models/{ID}\n",
        "/models/../../etc/passwd",
        f"http://host/models/{ID}",
        "*",
        "",
    ],
)
def test_every_other_path_does_not(target: str) -> None:
    assert parse_path(target) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("bytes=0-0", (0, 1)),
        ("bytes=2-5", (2, 6)),
        ("bytes=2-", (2, 10)),
        ("bytes=2-99", (2, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=-", None),
        ("bytes=5-2", None),
        ("bytes=0-1,3-4", None),
        ("lines=0-1", None),
        ("bytes=-1-2", None),
        ("bytes=" + "9" * 30 + "-", None),
    ],
)
def test_ranges(header: str | None, expected: tuple[int, int] | None) -> None:
    found = parse_range(header, 10)
    assert found == (expected and ByteRange(start=expected[0], stop=expected[1]))


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_ranges_behind_the_end_are_unsatisfiable(header: str) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        parse_range(header, 10)


@given(st.text(alphabet="bytes=0123456789-,", max_size=20), st.integers(1, 50))
def test_a_range_lies_within_the_file(header: str, size: int) -> None:
    try:
        found = parse_range(header, size)
    except UnsatisfiableRangeError:
        return
    assert found is None or 0 <= found.start < found.stop <= size


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("0", 0),
        (" 12 ", 12),
        (None, None),
        ("", None),
        ("-1", None),
        ("1e3", None),
        ("+1", None),
        ("9" * 19, None),
    ],
)
def test_lengths(header: str | None, expected: int | None) -> None:
    assert parse_length(header) == expected
