"""In a process of its own each time: what is taken away does not come back."""

import subprocess
import sys

import pytest

from mesh.device.processor import process_machine
from mesh.runtime.syscall_filter import ABIS

LONG_S = 60.0
FILTERED = """
import ctypes, fcntl, os, resource, socket, threading
from mesh.runtime import confine
ours, theirs = socket.socketpair()
parent = os.getppid()
confine.confine_process()
assert confine.filter_system_calls() == ""
"""
DENIED = FILTERED + "try:\n    {}\nexcept PermissionError:\n    print('denied')\n"

pytestmark = pytest.mark.skipif(
    process_machine() not in ABIS, reason="no filter is known for this machine"
)


def run(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LONG_S, check=False
    )


@pytest.mark.parametrize(
    "call",
    [
        "socket.socket()",
        "socket.socketpair()",
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])",
        "os.kill(parent, 0)",
        "fcntl.fcntl(ours, fcntl.F_SETOWN, parent)",
        "resource.prlimit(parent, resource.RLIMIT_CPU)",
        "open('/tmp/mesh-test-never-written', 'w')",
        "os.unlink('/tmp/mesh-test-never-written')",
    ],
)
def test_what_an_interpreter_does_not_need_is_denied(call: str) -> None:
    done = run(DENIED.format(call))
    assert (done.stdout, done.returncode) == ("denied\n", 0), done.stderr


def test_what_an_interpreter_needs_goes_on() -> None:
    done = run(
        FILTERED
        + """
ours.send(b"x")
assert theirs.recv(9) == b"x"
thread = threading.Thread(target=print, args=["ran"])
thread.start()
thread.join()
assert open("/proc/self/status").read()
"""
    )
    assert (done.stdout, done.returncode) == ("ran\n", 0), done.stderr


def test_the_way_by_32_bit_numbers_is_closed_too() -> None:
    if process_machine() != "x86_64":
        pytest.skip("only x86-64 has them")
    done = run(
        FILTERED
        + """
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall(0x40000000 + 41, 2, 1, 0), ctypes.get_errno())
"""
    )
    assert done.stdout == "-1 1\n", done.stderr


def test_a_thread_that_is_there_already_is_confined_as_well() -> None:
    done = run(
        """
import socket, threading
from mesh.runtime import confine
go = threading.Event()
def late():
    go.wait()
    try:
        socket.socket()
    except PermissionError:
        print("denied")
thread = threading.Thread(target=late)
thread.start()
confine.filter_system_calls()
go.set()
thread.join()
"""
    )
    assert done.stdout == "denied\n", done.stderr


def test_memory_beyond_the_bound_is_refused_and_the_process_goes_on() -> None:
    done = run(
        """
from mesh.runtime import confine
confine.limit_memory(64 << 20, mapped_bytes=0, threads=1)
first = bytearray(32 << 20)
try:
    bytearray(128 << 20)
except MemoryError:
    print("refused")
"""
    )
    assert (done.stdout, done.returncode) == ("refused\n", 0), done.stderr


def test_why_there_is_no_filter_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from mesh.runtime import confine  # noqa: PLC0415 - nothing else here runs in this process

    monkeypatch.setattr(confine, "process_machine", lambda: "riscv64")
    assert confine.filter_system_calls() == "no filter is known for riscv64"
