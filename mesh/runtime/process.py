"""Starts an interpreter's process, exchanges control messages with it by a deadline, and ends it.

What the messages mean is `mesh.runtime.interpreter`'s business. No thread is needed: whatever the
child prints is drained while its answer is awaited, and it prints only while it works.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import mesh
from mesh.errors import ChildDiedError, ChildHungError, DeviceError
from mesh.runtime.control import MAX_MESSAGE_BYTES

_TAIL_BYTES = 4096
_READ_BYTES = 65536
_REAP_S = 5.0
_LAST_WORD_S = 1.0
_ENVIRONMENT = {
    # NumPy's BLAS is never called in the child, yet would start a thread per core.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # Threads' own malloc arenas reserve 64 MiB of addresses each, which are bounded in the child.
    "MALLOC_ARENA_MAX": "1",
    "PYTHONUNBUFFERED": "1",
}
_NOISE = ("INFO:", "WARNING:", "I0000 ", "W0000 ")
"""How TFLite's minimal logger starts lines that are no complaint (tensorflow/lite/minimal_logging.cc)."""


class InterpreterProcess:
    """One child, alive or dead; `kill` may be called from any thread, the rest from one at a time."""

    def __init__(self, tensors_fd: int) -> None:
        """Start it; the descriptor is inherited and stays the caller's. Raises: DeviceError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        self._tail = b""
        try:
            self._process = _start(theirs.fileno(), tensors_fd)
        except OSError as error:
            ours.close()
            raise DeviceError(f"the interpreter's process cannot be started: {error}") from error
        finally:
            theirs.close()
        self._output_fd = self._output().fileno()
        os.set_blocking(self._output_fd, False)

    @property
    def pid(self) -> int:
        return self._process.pid

    def exchange(self, message: bytes, *, timeout_s: float, doing: str) -> bytes:
        """Send one message and wait for the answer; `doing` completes the error's sentence.

        Raises: ChildDiedError or ChildHungError; the process has ended by then.
        """
        deadline_s = time.monotonic() + timeout_s
        with contextlib.suppress(OSError):  # its death shows in the wait below
            self._control.send(message)
        answer = self._wait(deadline_s)
        if answer is None:
            self.kill()
            raise ChildHungError(
                f"the interpreter did not finish {doing} within {timeout_s:g} s and was ended"
            )
        if not answer:
            raise ChildDiedError(self._obituary(doing))
        return answer

    def kill(self) -> None:
        """End the process; harmless when it has ended."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP_S)

    def release(self) -> None:
        """Close what led to the process, after its end."""
        self._control.close()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _wait(self, deadline_s: float) -> bytes | None:
        """The answer, b"" when the child is gone, or None when the deadline passed."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._output_fd, select.POLLIN)
        while True:
            left_s = deadline_s - time.monotonic()
            ready = dict(poll.poll(max(0.0, left_s) * 1000))
            if self._output_fd in ready and not self._drain():
                poll.unregister(self._output_fd)
            if self._control.fileno() in ready:
                return self._receive()
            if left_s <= 0:
                return None

    def _receive(self) -> bytes:
        try:
            return self._control.recv(MAX_MESSAGE_BYTES)
        except OSError:  # reset: it died with a message unread
            return b""

    def _drain(self) -> bool:
        """Keep the end of what the child printed; False when it cannot print any more."""
        try:
            chunk = os.read(self._output_fd, _READ_BYTES)
        except BlockingIOError:
            return True
        self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
        return bool(chunk)

    def _obituary(self, doing: str) -> str:
        # Its socket is closed, so it has ended or is about to, perhaps with a last word.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORD_S)
        self.kill()
        with contextlib.suppress(OSError):
            self._drain()
        words = last_words(self._tail)
        return (
            f"the interpreter's process {describe_exit(self._process.returncode)} during {doing}"
            + (f", saying: {words}" if words else "")
        )

    def _output(self) -> IO[bytes]:
        output = self._process.stdout
        if output is None:
            raise DeviceError("the interpreter's process has no output pipe")
        return output


def _start(control_fd: int, tensors_fd: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "mesh.runtime.child", str(control_fd), str(tensors_fd)],
        # `-m` looks in the working directory first: there lies this very package and no other.
        cwd=Path(mesh.__file__).parent.parent,
        env={**os.environ, **_ENVIRONMENT},
        pass_fds=(control_fd, tensors_fd),
        stdin=subprocess.PIPE,  # the life line: see `mesh.runtime.life_line`
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,
    )


def describe_exit(status: int | None) -> str:
    """How a process ended, from `Popen.returncode`."""
    if status is None:
        return "closed its connection"
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = " (out of memory?)" if -status == signal.SIGKILL else ""
    return f"died of {name}{hint}"


def last_words(output: bytes, limit: int = 200) -> str:
    """The last line in what a process printed that is a complaint, fit for a terminal."""
    lines = output.decode("utf-8", "replace").splitlines()
    complaints = [line for line in lines if line.strip() and not line.startswith(_NOISE)]
    return clean(complaints[-1], limit) if complaints else ""


def clean(text: str, limit: int = 300) -> str:
    """One printable line of at most `limit` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
