"""What instruction set this process runs on; read from the system, nothing is judged here."""

import platform
import sys
from pathlib import Path

_RELEVANT = frozenset(
    {
        # x86-64: the levels between which XNNPACK's kernels differ (xnnpack/src/configs/hardware-config.c)
        *("avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx_vnni", "gfni", "amx_tile"),
        # ARM: half precision, dot products, matrix products, scalable vectors
        *("neon", "vfpv4", "fphp", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme"),
    }
)
_MAX_BYTES = 1 << 20
_32_BIT = {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}


def process_machine() -> str:
    """`platform.machine()` as this *process* sees it.

    Raspberry Pi OS (32-bit) boots a 64-bit kernel, which then calls itself aarch64.
    """
    machine = platform.machine()
    return machine if sys.maxsize > 2**32 else _32_BIT.get(machine, machine)


def vector_extensions(root: Path = Path("/")) -> tuple[str, ...]:
    """The processor's vector extensions that decide which kernels an interpreter picks, sorted."""
    try:
        with (root / "proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            return parse_extensions(file.read(_MAX_BYTES))
    except OSError:
        return ()


def parse_extensions(cpuinfo: str) -> tuple[str, ...]:
    """From /proc/cpuinfo: what all cores have ("flags" on x86, "Features" on ARM)."""
    cores = [
        frozenset(value.split())
        for name, _, value in (line.partition(":") for line in cpuinfo.splitlines())
        if name.strip().lower() in {"flags", "features"}
    ]
    return tuple(sorted(_RELEVANT.intersection(*cores))) if cores else ()
