import os
from pathlib import Path

import pytest

from mesh.errors import StoreError, UsageError
from mesh.node import identity


def test_an_id_is_drawn_once(tmp_path: Path) -> None:
    drawn = identity.node_id(tmp_path)
    assert len(drawn) == 16
    assert int(drawn, 16) >= 0
    assert identity.node_id(tmp_path) == drawn


def test_two_directories_have_two_ids(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert identity.node_id(tmp_path / "a") != identity.node_id(tmp_path / "b")


@pytest.mark.parametrize("found", [b"", b"ABCDEF0123456789", b"0" * 15, b"\xff" * 16])
def test_a_damaged_id_is_drawn_anew(tmp_path: Path, found: bytes) -> None:
    (tmp_path / "node_id").write_bytes(found)
    drawn = identity.node_id(tmp_path)
    assert (tmp_path / "node_id").read_text() == f"{drawn}\n"


def test_an_id_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="node_id"):
        identity.node_id(tmp_path / "missing")


def test_a_directory_belongs_to_one_node(tmp_path: Path) -> None:
    held = identity.claim(tmp_path / "data")
    with pytest.raises(UsageError, match="another node runs"):
        identity.claim(tmp_path / "data")
    os.close(held)
    os.close(identity.claim(tmp_path / "data"))


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="--data-dir"):
        identity.claim(tmp_path / "file")


@pytest.mark.parametrize(
    ("advertise", "bind", "host"),
    [
        ("pi.local", "", "pi.local"),
        ("pi.local", "192.0.2.1", "pi.local"),
        ("", "192.0.2.1", "192.0.2.1"),
        ("", "::1", "::1"),
    ],
)
def test_others_are_told_what_was_configured(advertise: str, bind: str, host: str) -> None:
    assert identity.reachable_host(advertise=advertise, bind=bind) == host


@pytest.mark.parametrize("bind", ["", "0.0.0.0", "::"])
def test_without_a_word_it_is_an_address_of_this_machine(bind: str) -> None:
    host = identity.reachable_host(advertise="", bind=bind)
    assert len(host.split(".")) == 4
    assert host != "0.0.0.0"
