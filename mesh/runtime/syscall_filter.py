"""Which system calls an interpreter's process is refused, as a program for seccomp; not installed here.

An interpreter computes in memory: after it was opened it needs no network, no other program or
process, no other kernel interface, and no file to write to. Everything else stays allowed, since
what a C library or a kernel calls by itself differs from board to board.
"""

import errno
import struct
from dataclasses import dataclass

_DENIED = """
socket              41 198 281
connect             42 203 283
bind                49 200 282
listen              50 201 284
accept              43 202 285
accept4            288 242 366
socketpair          53 199 288
socketcall           -   - 102

execve              59 221  11
execveat           322 281 387
fork                57   -   2
vfork               58   - 190

ptrace             101 117  26
process_vm_readv   310 270 376
process_vm_writev  311 271 377
process_madvise    440 440 440
kill                62 129  37
tkill              200 130 238
rt_sigqueueinfo    129 138 178
rt_tgsigqueueinfo  297 240 363
pidfd_open         434 434 434
pidfd_getfd        438 438 438
pidfd_send_signal  424 424 424

shmget              29 194 307
shmat               30 196 305
shmctl              31 195 308
semget              64 190 299
semctl              66 191 300
msgget              68 186 303
msgctl              71 187 304
mq_open            240 180 274

io_uring_setup     425 425 425
io_uring_enter     426 426 426
io_uring_register  427 427 427
bpf                321 280 386
perf_event_open    298 241 364
userfaultfd        323 282 388
add_key            248 217 309
request_key        249 218 310
keyctl             250 219 311
unshare            272  97 337
setns              308 268 375
mount              165  40  21
umount2            166  39  52
pivot_root         155  41 218
chroot             161  51  61
open_tree          428 428 428
move_mount         429 429 429
fsopen             430 430 430
fsmount            432 432 432
mount_setattr      442 442 442
init_module        175 105 128
finit_module       313 273 379
delete_module      176 106 129
kexec_load         246 104 347
kexec_file_load    320 294 401
reboot             169 142  88
swapon             167 224  87
swapoff            168 225 115

open_by_handle_at  304 265 371
creat               85   -   8
mknod              133   -  14
mknodat            259  33 324
truncate            76  45  92
truncate64           -   - 193
unlink              87   -  10
unlinkat           263  35 328
rename              82   -  38
renameat           264  38 329
renameat2          316 276 382
rmdir               84   -  40
mkdir               83   -  39
mkdirat            258  34 323
link                86   -   9
linkat             265  37 330
symlink             88   -  83
symlinkat          266  36 331
chmod               90   -  15
fchmod              91  52  94
fchmodat           268  53 333
fchmodat2          452 452 452
chown               92   - 182
chown32              -   - 212
lchown              94   -  16
lchown32             -   - 198
fchown              93  55  95
fchown32             -   - 207
fchownat           260  54 325
"""
"""Name, then its number on x86-64, aarch64 and 32-bit ARM (EABI); "-" = there is none.

Linux: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h,
arch/arm/tools/syscall.tbl.
"""

# linux/seccomp.h, linux/bpf_common.h; offsets in struct seccomp_data
_ALLOW = 0x7FFF0000
_FAIL = 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _HAS_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ABI_AT, _ARGUMENTS_AT = 0, 4, 16
_X32_BIT = 0x40000000  # arch/x86/include/uapi/asm/unistd.h: x86-64's second set of numbers

_CLONE_THREAD = 0x00010000  # linux/sched.h
_OPEN_TO_WRITE = (
    0o1 | 0o2 | 0o100 | 0o1000
)  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC: asm-generic/fcntl.h

# fcntl(2), ioctl(2): who gets a signal when a descriptor is ready, and which; SIGKILL to anyone else
_SIGNALLING = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: asm-generic/fcntl.h
_OWNING = (0x8901, 0x8902)  # FIOSETOWN, SIOCSPGRP: asm-generic/sockios.h

_INSTRUCTION = struct.Struct("=HBBI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Abi:
    """One way to call the kernel: its AUDIT_ARCH number, and the calls that need a closer look.

    `open` is None where only `openat` is there; 32-bit ARM has two calls for `fcntl`.
    """

    audit: int
    column: int
    clone: int
    open: int | None
    openat: int
    fcntl: tuple[int, ...]
    ioctl: int
    tgkill: int
    prlimit64: int
    seccomp: int


ABIS = {
    "x86_64": Abi(
        audit=0xC000003E,
        column=0,
        clone=56,
        open=2,
        openat=257,
        fcntl=(72,),
        ioctl=16,
        tgkill=234,
        prlimit64=302,
        seccomp=317,
    ),
    "aarch64": Abi(
        audit=0xC00000B7,
        column=1,
        clone=220,
        open=None,
        openat=56,
        fcntl=(25,),
        ioctl=29,
        tgkill=131,
        prlimit64=261,
        seccomp=277,
    ),
    "armv7l": Abi(
        audit=0x40000028,
        column=2,
        clone=120,
        open=5,
        openat=322,
        fcntl=(55, 221),
        ioctl=54,
        tgkill=268,
        prlimit64=369,
        seccomp=383,
    ),
}
"""By `process_machine()`."""

# Their arguments lie in memory, where a filter cannot look. ENOSYS makes a C library use the older call.
_CLONE3, _OPENAT2 = 435, 437


def denied_calls(abi: Abi) -> dict[str, int]:
    """The calls that fail with EPERM whatever their arguments, with their numbers."""
    rows = (line.split() for line in _DENIED.split("\n") if line)
    return {name: int(row[abi.column]) for name, *row in rows if row[abi.column] != "-"}


def filter_program(abi: Abi, *, pid: int) -> bytes:
    """The filter as `struct sock_filter` after `struct sock_filter`, for the process `pid`."""
    steps = [
        _step(_LOAD, _ABI_AT),
        _step(_EQUAL, abi.audit, yes=1),
        _fail(errno.EPERM),  # a call by another ABI, whose numbers mean other things
        _step(_LOAD, _NUMBER_AT),
    ]
    if abi.column == 0:
        steps += [_step(_AT_LEAST, _X32_BIT, no=1), _fail(errno.EPERM)]
    for number in denied_calls(abi).values():
        steps += [_step(_EQUAL, number, no=1), _fail(errno.EPERM)]
    for number in (_CLONE3, _OPENAT2):
        steps += [_step(_EQUAL, number, no=1), _fail(errno.ENOSYS)]
    steps += _unless_bits(abi.clone, argument=0, bits=_CLONE_THREAD)
    steps += _if_bits(abi.openat, argument=2, bits=_OPEN_TO_WRITE)
    if abi.open is not None:
        steps += _if_bits(abi.open, argument=1, bits=_OPEN_TO_WRITE)
    for number, requests in (
        *((number, _SIGNALLING) for number in abi.fcntl),
        (abi.ioctl, _OWNING),
    ):
        for request in requests:
            steps += _if_equal(number, argument=1, value=request)
    steps += _unless_equal(abi.tgkill, argument=0, value=pid)
    steps += _unless_equal(abi.prlimit64, argument=0, value=0)
    return b"".join([*steps, _step(_RETURN, _ALLOW)])


def _step(code: int, operand: int, *, yes: int = 0, no: int = 0) -> bytes:
    """One instruction; `yes` and `no` = how many to skip when a comparison holds or does not."""
    return _INSTRUCTION.pack(code, yes, no, operand)


def _fail(number: int) -> bytes:
    return _step(_RETURN, _FAIL | number)


def _argument(place: int) -> bytes:
    """Load the lower half of an argument: all that flags and process ids have (little-endian)."""
    return _step(_LOAD, _ARGUMENTS_AT + 8 * place)


def _unless_bits(number: int, *, argument: int, bits: int) -> list[bytes]:
    return _looked_at(number, argument, _step(_HAS_ANY_BIT, bits, yes=1))


def _if_bits(number: int, *, argument: int, bits: int) -> list[bytes]:
    return _looked_at(number, argument, _step(_HAS_ANY_BIT, bits, no=1))


def _if_equal(number: int, *, argument: int, value: int) -> list[bytes]:
    return _looked_at(number, argument, _step(_EQUAL, value, no=1))


def _unless_equal(number: int, *, argument: int, value: int) -> list[bytes]:
    return _looked_at(number, argument, _step(_EQUAL, value, yes=1))


def _looked_at(number: int, argument: int, test: bytes) -> list[bytes]:
    """Refuse the call unless the test skips that; the number is loaded again afterwards."""
    return [
        _step(_EQUAL, number, no=4),
        _argument(argument),
        test,
        _fail(errno.EPERM),
        _step(_LOAD, _NUMBER_AT),
    ]
