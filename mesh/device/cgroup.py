"""How much memory and processor time the control groups of this process leave it; nothing where they set no limit."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mesh.device.system_files import read_integer, read_text

_UNLIMITED_BYTES = 1 << 60
"""cgroup v1 says "no limit" with the largest multiple of a page (Documentation/admin-guide/cgroup-v1/memory.rst)."""
_MAX_DEPTH = 32
_MEMORY_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")
_MEMORY_V2 = ("memory.max", "memory.current")
_CPU_V1 = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
_CPU_V2 = "cpu.max"


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuLimit:
    """So many `cores`, a fraction too, for all processes of a group together.

    `group` tells groups of one kernel apart, also where a container sees its own as the root.
    """

    cores: float
    group: int


def memory_limits(root: Path) -> list[tuple[int, int]]:
    """(limit, use) in bytes of each group from this process's own up to the root that has a limit."""
    found = [
        _memory_of(group, _MEMORY_V2 if is_v2 else _MEMORY_V1)
        for group, is_v2 in _groups(root, "memory")
    ]
    return [pair for pair in found if pair is not None]


def cpu_limit(root: Path) -> CpuLimit | None:
    """The tightest CPU quota of this process's groups; None where they set none.

    From `cpu.max` (cgroup v2) or `cpu.cfs_quota_us` and `cpu.cfs_period_us` (v1).
    """
    limits = [
        CpuLimit(cores=cores, group=_number_of(group))
        for group, is_v2 in _groups(root, "cpu")
        if (cores := _cores_of(group, is_v2=is_v2)) is not None
    ]
    return min(limits, key=lambda limit: limit.cores, default=None)


def _groups(root: Path, controller: str) -> Iterator[tuple[Path, bool]]:
    """The groups of this process for a controller, innermost first, and whether they are of cgroup v2."""
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        mount = root / "sys/fs/cgroup"
        is_v2 = number == "0" and not controllers
        if not is_v2 and controller not in controllers.split(","):
            continue
        mount = mount if is_v2 else mount / controller
        parts = [part for part in path.split("/") if part not in {"", ".", ".."}][:_MAX_DEPTH]
        for depth in range(len(parts), -1, -1):
            yield mount.joinpath(*parts[:depth]), is_v2


def _memory_of(group: Path, files: tuple[str, str]) -> tuple[int, int] | None:
    limit, use = (read_integer(group / file) for file in files)
    if limit is None or use is None or limit >= _UNLIMITED_BYTES:  # "max" is no number
        return None
    return limit, use


def _cores_of(group: Path, *, is_v2: bool) -> float | None:
    quota_us, period_us = _quota_v2(group) if is_v2 else _quota_v1(group)
    if quota_us is None or period_us is None or quota_us <= 0 or period_us <= 0:
        return None  # v1 says "no limit" with -1, v2 with "max"
    return quota_us / period_us


def _quota_v1(group: Path) -> tuple[int | None, int | None]:
    quota_us, period_us = (read_integer(group / file) for file in _CPU_V1)
    return quota_us, period_us


def _quota_v2(group: Path) -> tuple[int | None, int | None]:
    quota, _, period = (read_text(group / _CPU_V2) or "").partition(" ")
    return _whole(quota), _whole(period)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _number_of(group: Path) -> int:
    """Its inode, which is the kernel's own number of the group; 0 where it is gone meanwhile."""
    try:
        return group.stat().st_ino
    except OSError:
        return 0
