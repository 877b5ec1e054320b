"""Lets a command clean up before it ends, whether by Ctrl-C, by SIGTERM or with its terminal."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def orderly_end() -> Iterator[None]:
    """Inside, the first such signal raises; later ones are ignored, so that cleaning up is not cut short.

    Raises: KeyboardInterrupt for SIGINT, SystemExit with the status that shells expect for the
    others. A signal that this process was started to ignore, as by nohup, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and only it is interrupted
        return
    before = {one: signal.getsignal(one) for one in _ENDING}
    watched = [one for one, handler in before.items() if handler is not signal.SIG_IGN]

    def end(number: int, _frame: FrameType | None) -> None:
        for one in watched:
            signal.signal(one, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    for one in watched:
        signal.signal(one, end)
    try:
        yield
    finally:
        for one in watched:
            signal.signal(one, before[one])
