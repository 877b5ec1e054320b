from pathlib import Path
from typing import Any

from mesh.device.processor import parse_extensions, process_machine, vector_extensions

PI_5 = """processor\t: 0
Features\t: fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp

processor\t: 1
Features\t: fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
"""
X86 = "flags\t\t: fpu sse2 avx fma avx2 hypervisor\nbugs\t\t: spectre_v1\n"


def test_only_what_kernels_differ_by_counts() -> None:
    assert parse_extensions(PI_5) == ("asimddp", "asimdhp", "fphp")
    assert parse_extensions(X86) == ("avx", "avx2", "fma")


def test_unlike_cores_count_as_the_least() -> None:
    assert parse_extensions("Features: asimd fphp\nFeatures: asimd\n") == ()


def test_nothing_known_is_empty(tmp_path: Path) -> None:
    assert parse_extensions("") == ()
    assert vector_extensions(tmp_path) == ()


def test_read_from_the_root(machine: Any) -> None:
    assert vector_extensions(machine({"proc/cpuinfo": X86})) == ("avx", "avx2", "fma")


def test_this_process_has_a_machine() -> None:
    assert process_machine() in {"x86_64", "aarch64", "armv7l", "i686"}
