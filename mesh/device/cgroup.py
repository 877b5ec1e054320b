"""How much memory the control groups of this process leave it; None where they set no limit."""

from pathlib import Path

from mesh.device.system_files import read_integer, read_text

_UNLIMITED_BYTES = 1 << 60
"""cgroup v1 says "no limit" with the largest multiple of a page (Documentation/admin-guide/cgroup-v1/memory.rst)."""
_MAX_DEPTH = 32
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")
_V2 = ("memory.max", "memory.current")


def memory_limits(root: Path) -> list[tuple[int, int]]:
    """(limit, use) in bytes of each group from this process's own up to the root that has a limit."""
    lines = (read_text(root / "proc/self/cgroup") or "").splitlines()
    return [pair for line in lines for pair in _of_hierarchy(root / "sys/fs/cgroup", line)]


def _of_hierarchy(mount: Path, line: str) -> list[tuple[int, int]]:
    number, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if number == "0" and not controllers:
        files = _V2
    elif "memory" in controllers.split(","):
        mount, files = mount / "memory", _V1
    else:
        return []
    parts = [part for part in path.split("/") if part not in {"", ".", ".."}][:_MAX_DEPTH]
    groups = [mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]
    return [pair for group in groups if (pair := _of_group(group, files)) is not None]


def _of_group(group: Path, files: tuple[str, str]) -> tuple[int, int] | None:
    limit, use = (read_integer(group / file) for file in files)
    if limit is None or use is None or limit >= _UNLIMITED_BYTES:  # "max" is no number
        return None
    return limit, use
