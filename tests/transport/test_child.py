import os
import sys

import pytest

from mesh.errors import BrokerError
from mesh.transport import child as module
from mesh.transport.child import Child

SPEAK = "import sys, time; [print(i, file=sys.stderr) for i in range(500)]; sys.exit(3)"


def make(*command: str) -> Child:
    return Child(command, {"PATH": os.defpath}, user="")


def test_its_log_is_kept_but_bounded() -> None:
    speaking = make(sys.executable, "-c", SPEAK)
    speaking.start()
    assert speaking.wait(10)
    assert speaking.last_words == "497; 498; 499"
    assert not speaking.is_alive


def test_it_can_be_stopped_even_if_it_will_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_END_S", 1.0)
    stubborn = make("/bin/sh", "-c", "trap '' TERM; echo up >&2; while :; do sleep 1; done")
    stubborn.start()
    while stubborn.last_words != "up":
        assert not stubborn.wait(0.01)
    stubborn.stop()
    assert not stubborn.is_alive


def test_a_program_that_is_missing_ends_at_once() -> None:
    missing = make("/nowhere/broker")
    missing.start()
    assert missing.wait(10)
    assert "No such file" in missing.last_words


def test_stopping_before_starting_is_harmless() -> None:
    make("/bin/true").stop()


def test_no_python_to_start_it_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(BrokerError, match="cannot be started"):
        make("/bin/true").start()
