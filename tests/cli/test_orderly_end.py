import os
import signal
import threading
from collections.abc import Iterator

import pytest

from mesh.cli.orderly_end import orderly_end

CASES = [
    (signal.SIGINT, KeyboardInterrupt),
    (signal.SIGTERM, SystemExit),
    (signal.SIGHUP, SystemExit),
]


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """As in a process of its own, whatever the tests were started to ignore."""
    before = {one: signal.getsignal(one) for one, _ in CASES}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


@pytest.mark.parametrize(("number", "kind"), CASES)
def test_the_first_raises_and_later_ones_do_not_disturb(
    number: signal.Signals, kind: type[BaseException]
) -> None:
    cleaned = []

    def run() -> None:
        with orderly_end():
            try:
                os.kill(os.getpid(), number)
            finally:
                for one, _ in CASES:
                    os.kill(os.getpid(), one)
                cleaned.append(True)

    with pytest.raises(kind) as caught:
        run()
    assert cleaned
    if isinstance(caught.value, SystemExit):
        assert caught.value.code == 128 + number
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_was_ignored_before_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with orderly_end():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_without_a_signal_nothing_happens() -> None:
    with orderly_end():
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_another_thread_sets_no_handlers() -> None:
    inside = []

    def run() -> None:
        with orderly_end():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert inside == [signal.SIG_DFL]
