"""A broker's process: started so that it dies with this one, watched, ended; knows no broker."""

import logging
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import IO

from mesh.errors import BrokerError
from mesh.transport import exec_child

_LOG = logging.getLogger("mesh.transport")

_LAST_LINES = 20
_LINE_BYTES = 500
_END_S = 3.0  # between asking and killing


class Child:
    """One run of one program. Its own thread starts it, reads its log and waits for its end.

    That thread lives exactly as long as the child, which is what makes the parent-death signal
    safe: the kernel sends it when the *starting thread* ends, whichever thread that was.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], user: str) -> None:
        self._command = [
            *(sys.executable, "-I", "-S", exec_child.__file__),
            *(str(os.getpid()), user),
            *command,
        ]
        self._name = Path(command[0]).name
        self._environment = dict(environment)
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._started = Event()
        self._ended = Event()
        self._thread = Thread(target=self._watch, name=f"child {self._name}", daemon=True)

    def start(self) -> None:
        """Raises: BrokerError when there is no such program or no memory for it."""
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise BrokerError(f"{self._name} cannot be started: {self._failure}")

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._started.is_set() and not self._ended.is_set()

    @property
    def last_words(self) -> str:
        """Return what it last logged, in one line."""
        return "; ".join(list(self._lines)[-3:]) or "it said nothing"

    def wait(self, timeout_s: float) -> bool:
        """Return whether it has ended by then."""
        return self._ended.wait(timeout_s)

    def stop(self) -> None:
        """Ask it to end, then make it."""
        process = self._process
        if process is None:
            return
        process.terminate()
        if not self.wait(_END_S):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its session is its own
            self.wait(_END_S)
        self._thread.join(_END_S)

    def _watch(self) -> None:
        try:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd="/",
                start_new_session=True,  # Ctrl-C in a terminal is for the daemon to handle
            )
        except OSError as error:
            self._failure = error
            return
        finally:
            self._started.set()
        with self._process:  # waits for its end, closes the pipe
            if self._process.stderr is not None:
                self._read(self._process.stderr)
        self._ended.set()

    def _read(self, log: IO[bytes]) -> None:
        while line := log.readline(_LINE_BYTES):
            text = line.decode(errors="replace").strip()
            if text:
                self._lines.append(text)
                _LOG.debug("%s: %s", self._name, text)
