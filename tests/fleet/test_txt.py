"""TXT strings: what is announced comes back, and nothing else gets in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import RemoteError
from mesh.fleet.discovery import Announcement
from mesh.fleet.txt import OtherVersionError, clean, decode, encode
from mesh.ids import BootId, NodeId

SOUND = Announcement(
    node_id=NodeId("0123456789abcdef"),
    boot_id=BootId("89abcdef"),
    name="board",
    mesh_name="default",
    broker_url="mqtt://192.0.2.1:1883",
)


def strings(**changes: bytes | None) -> dict[bytes, bytes | None]:
    sound: dict[bytes, bytes | None] = {k.encode(): v.encode() for k, v in encode(SOUND).items()}
    return sound | {key.encode(): value for key, value in changes.items()}


def test_what_is_announced_comes_back() -> None:
    assert decode(strings()) == SOUND


def test_each_string_fits_its_length_byte() -> None:
    longest = f"mqtt://{'h' * 186}:65535"
    assert len(f"broker={longest}") <= 255


def test_unknown_strings_are_ignored() -> None:
    assert decode(strings(later=b"new", flag=None)) == SOUND


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("v", b""),
        ("v", b"one"),
        ("v", b"99999"),
        ("id", b"0123456789ABCDEF"),
        ("id", b"0123456789abcdef\n"),
        ("id", None),
        ("boot", b"123"),
        ("mesh", b""),
        ("mesh", b"a/b"),
        ("mesh", b"x" * 33),
        ("broker", b""),
        ("broker", b"mqtt://"),
        ("broker", b"mqtt://host:0"),
        ("broker", b"mqtt://host:70000"),
        ("broker", b"http://host:80"),
        ("broker", b"mqtt://user:password@host"),
        ("broker", b"mqtt://ho\x1b[31mst"),
        ("broker", b"\xff\xfe"),
    ],
)
def test_unsound_strings_are_refused(key: str, value: bytes | None) -> None:
    with pytest.raises(RemoteError):
        decode(strings(**{key: value}))


def test_another_version_is_told_apart_before_all_else() -> None:
    with pytest.raises(OtherVersionError, match="version 2"):
        decode(strings(v=b"2", id=b"of another form"))


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b"caf\xc3\xa9", "café"),
        (b"a\x1b[31mb\r\nc", "a[31mbc"),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
        (b"x" * 200, "x" * 32),
        (b"\0\t ", "0123456789abcdef"),
        (None, "0123456789abcdef"),
    ],
)
def test_names_are_made_fit_to_print(sent: bytes | None, shown: str) -> None:
    assert decode(strings(name=sent)).name == shown


@given(st.text(max_size=300))
def test_clean_text_is_printable_and_bounded(text: str) -> None:
    assert clean(text, 40).isprintable()
    assert len(clean(text, 40)) <= 40


@given(st.dictionaries(st.sampled_from([b"v", b"id", b"boot", b"mesh", b"broker"]), st.binary()))
def test_any_bytes_are_decoded_or_refused(changes: dict[bytes, bytes]) -> None:
    try:
        decode(strings() | changes)
    except RemoteError:
        return
