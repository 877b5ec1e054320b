"""The program run by hand on any machine; that the kernel takes it is in test_confine.py."""

import errno
import fcntl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.runtime.syscall_filter import ABIS, Abi, denied_calls, filter_program

PID = 4711
ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
LOAD, EQUAL, AT_LEAST, HAS_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
abis = pytest.mark.parametrize("abi", ABIS.values(), ids=ABIS)


def verdict(abi: Abi, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the filter says of a call: classic BPF (linux/filter.h) in a few lines."""
    six = [*arguments, *[0] * 6][:6]
    data = struct.pack("<iIQ6Q", number, audit or abi.audit, 0, *six)
    program = list(struct.iter_unpack("=HBBI", filter_program(abi, pid=PID)))
    accumulator = at = 0
    while True:
        code, yes, no, operand = program[at]
        at += 1
        if code == RETURN:
            return int(operand)
        if code == LOAD:
            (accumulator,) = struct.unpack_from("<I", data, operand)
            continue
        holds = {
            EQUAL: accumulator == operand,
            AT_LEAST: accumulator >= operand,
            HAS_ANY_BIT: bool(accumulator & operand),
        }[code]
        at += yes if holds else no


@abis
def test_what_is_denied_is_denied_whatever_the_arguments(abi: Abi) -> None:
    denied = denied_calls(abi)
    assert {"socket", "connect", "execve", "ptrace", "io_uring_setup", "unlinkat"} <= set(denied)
    assert {verdict(abi, number, 1 << 16, PID) for number in denied.values()} == {EPERM}


@abis
def test_a_call_by_another_abi_is_denied(abi: Abi) -> None:
    assert verdict(abi, 0, audit=0x40000003) == EPERM  # AUDIT_ARCH_I386


def test_the_second_set_of_numbers_of_x86_64_is_denied() -> None:
    assert verdict(ABIS["x86_64"], 0x40000000 + 39) == EPERM


@abis
def test_threads_are_allowed_and_processes_are_not(abi: Abi) -> None:
    assert verdict(abi, abi.clone, 0x3D0F00) == ALLOW  # the flags of glibc's pthread_create
    assert verdict(abi, abi.clone, 17) == EPERM  # fork: SIGCHLD alone
    assert verdict(abi, 435, 0) == ENOSYS  # clone3, whose flags cannot be seen


@abis
def test_files_may_be_read_and_not_written(abi: Abi) -> None:
    for write in (0o1, 0o2, 0o100, 0o1000):
        assert verdict(abi, abi.openat, 0, 0, write) == EPERM
        assert abi.open is None or verdict(abi, abi.open, 0, write) == EPERM
    assert verdict(abi, abi.openat, 0, 0, 0o2000000) == ALLOW  # O_RDONLY | O_CLOEXEC
    assert abi.open is None or verdict(abi, abi.open, 0, 0) == ALLOW


@abis
def test_it_may_end_itself_alone(abi: Abi) -> None:
    assert verdict(abi, abi.tgkill, PID, 5, 6) == ALLOW
    assert verdict(abi, abi.tgkill, PID + 1, 5, 6) == EPERM
    assert verdict(abi, abi.prlimit64, 0) == ALLOW
    assert verdict(abi, abi.prlimit64, PID + 1) == EPERM


@abis
def test_no_descriptor_signals_another_process(abi: Abi) -> None:
    for number in abi.fcntl:
        for request in (fcntl.F_SETOWN, fcntl.F_SETSIG, 15):  # 15: F_SETOWN_EX
            assert verdict(abi, number, 3, request, PID + 1) == EPERM
        assert verdict(abi, number, 3, fcntl.F_SETFL, 0) == ALLOW
    assert verdict(abi, abi.ioctl, 3, 0x8901) == EPERM  # FIOSETOWN
    assert verdict(abi, abi.ioctl, 3, 0x5421) == ALLOW  # FIONBIO


@given(st.sampled_from(list(ABIS.values())), st.integers(0, 0x3FFFFFFF), st.integers(0, 2**64 - 1))
def test_every_call_gets_a_verdict(abi: Abi, number: int, argument: int) -> None:
    looked_at = {abi.clone, abi.open, abi.openat, abi.tgkill, abi.prlimit64, 435, 437}
    looked_at |= {*abi.fcntl, abi.ioctl}
    said = verdict(abi, number, argument, argument, argument)
    if number not in looked_at:
        assert said == (EPERM if number in denied_calls(abi).values() else ALLOW)


@abis
def test_no_call_is_named_twice(abi: Abi) -> None:
    numbers = [*denied_calls(abi).values(), abi.clone, abi.openat, abi.tgkill, abi.prlimit64]
    numbers += [*abi.fcntl, abi.ioctl]
    assert len(numbers) == len(set(numbers))
