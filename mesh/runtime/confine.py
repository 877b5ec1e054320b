"""Takes from this process what an interpreter does not need: memory beyond a bound, network, other processes.

What may be had is decided elsewhere (`mesh.runtime.memory_bound`, `mesh.runtime.syscall_filter`).
Nothing here can be undone by the process itself.
"""

import contextlib
import ctypes
import os
import resource
from pathlib import Path

from mesh.device.processor import process_machine
from mesh.runtime.syscall_filter import ABIS, filter_program

_OOM_SCORE = "500"  # of 1000: when memory runs out, the kernel takes this process, not the daemon
_OPEN_FILES = 64  # the runtimes read a few files of /proc and /sys beside the model
_STACK_BYTES = 8 << 20  # what a thread's stack takes where the limit does not say (glibc: less)
_THREADS_PER_THREAD = 2  # without XNNPACK two pools of the size asked for were seen

# linux/prctl.h, linux/seccomp.h
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_TSYNC = 1


def confine_process() -> None:
    """No core dump, few files, none written; the first to go when the machine runs out of memory."""
    with (
        contextlib.suppress(OSError),
        open("/proc/self/oom_score_adj", "w", encoding="ascii") as file,  # noqa: PTH123
    ):
        file.write(_OOM_SCORE)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)


def limit_memory(memory_bytes: int, *, mapped_bytes: int, threads: int) -> None:
    """Bound what is taken from now on: `memory_bytes` of its own, `mapped_bytes` of files.

    RLIMIT_DATA counts private writable memory, RLIMIT_AS all addresses; stacks come on top.
    """
    address_bytes, data_bytes = _used_bytes()
    own_bytes = memory_bytes + threads * _THREADS_PER_THREAD * _stack_bytes()
    _limit(resource.RLIMIT_DATA, data_bytes + own_bytes)
    _limit(resource.RLIMIT_AS, address_bytes + own_bytes + mapped_bytes)


def filter_system_calls() -> str:
    """Refuse system calls from now on, on every thread; returns why it could not be done, or ""."""
    abi = ABIS.get(process_machine())
    if abi is None:
        return f"no filter is known for {process_machine()}"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return f"no new privileges: {os.strerror(ctypes.get_errno())}"
    content = filter_program(abi, pid=os.getpid())
    instructions = ctypes.create_string_buffer(content, len(content))
    program = _Program(len(content) // 8, ctypes.cast(instructions, ctypes.c_void_p))
    refused = libc.syscall(
        ctypes.c_long(abi.seccomp),
        ctypes.c_ulong(_SECCOMP_SET_MODE_FILTER),
        ctypes.c_ulong(_SECCOMP_FILTER_FLAG_TSYNC),
        ctypes.byref(program),
    )
    if refused:
        return "seccomp: " + os.strerror(ctypes.get_errno())
    return ""


class _Program(ctypes.Structure):
    """struct sock_fprog (linux/filter.h)."""

    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _used_bytes() -> tuple[int, int]:
    """Addresses and writable memory of this process (proc(5), statm: size and data)."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(pages[0]) * resource.getpagesize(), int(pages[5]) * resource.getpagesize()


def _stack_bytes() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return _STACK_BYTES if soft == resource.RLIM_INFINITY else soft


def _limit(kind: int, most: int) -> None:
    """Set both limits, but never above the one that is there."""
    _, hard = resource.getrlimit(kind)
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (bound, bound))
