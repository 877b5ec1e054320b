import os
import signal
from collections.abc import Iterator

import pytest

from mesh.errors import ChildDiedError
from mesh.runtime.process import InterpreterProcess, clean, describe_exit, last_words
from mesh.runtime.region import create_shared_file

LONG_S = 60.0


@pytest.fixture
def process() -> Iterator[InterpreterProcess]:
    descriptor = create_shared_file(64)
    started = InterpreterProcess(descriptor)
    os.close(descriptor)
    yield started
    started.kill()
    started.release()


def test_what_a_dying_child_says_last_is_quoted(process: InterpreterProcess) -> None:
    with pytest.raises(ChildDiedError, match=r"exit status 1 during a test, saying: .*Expecting"):
        process.exchange(b"no load request", timeout_s=LONG_S, doing="a test")


def test_a_dead_child_can_be_asked_again(process: InterpreterProcess) -> None:
    process.kill()
    for _ in range(2):
        with pytest.raises(ChildDiedError, match="SIGKILL"):
            process.exchange(b"anything", timeout_s=LONG_S, doing="a test")


def test_kill_may_be_called_again(process: InterpreterProcess) -> None:
    process.kill()
    process.kill()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "ended with exit status 0"),
        (3, "ended with exit status 3"),
        (-signal.SIGSEGV, "died of SIGSEGV"),
        (-signal.SIGKILL, "died of SIGKILL (out of memory?)"),
        (-120, "died of signal 120"),
        (None, "closed its connection"),
    ],
)
def test_exits_in_words(status: int | None, words: str) -> None:
    assert describe_exit(status) == words


def test_the_logger_is_not_quoted() -> None:
    assert last_words(b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n") == ""
    assert last_words(b"Aborted: bad\n\nINFO: delegate\nWARNING: slow\n") == "Aborted: bad"
    assert last_words(b"") == ""


def test_text_becomes_one_printable_line() -> None:
    assert clean("gather\n\x1b[31m index \x00out") == "gather [31m index out"
    assert clean("x" * 400) == "x" * 299 + "…"
