"""Virtual boards on one machine: groups of processes with a share of its processor each (cgroup v1 or v2).

For root alone, and of this machine only what is made here is touched. What else runs on it hardly
takes of the shares. Short periods make a share
act like a slower processor: work of 20 to 100 ms then takes what it should within 4 %.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mesh.errors import DeviceError, UsageError

CGROUP_ROOT = Path("/sys/fs/cgroup")
_TICK_US = 4000
"""The kernel charges by ticks of so long: a shorter quota would be used up by one of them."""
_WIDE_PERIOD_US = 20_000
_WIDE_SHARE = 0.5
"""Larger shares get the wide period: a tick would be too much of a short one."""
_MAX_PERIOD_US = 1_000_000
"""Documentation/scheduler/sched-bwc.rst: a period lasts 1 ms to 1 s."""
LEAST_CORES = _TICK_US / _MAX_PERIOD_US
_REMOVE_TIMEOUT_S = 2.0
_POLL_S = 0.02


def quota_us(cores: float) -> tuple[int, int]:
    """(quota, period) in microseconds. Raises: UsageError for fewer cores than a period can hold."""
    if not LEAST_CORES <= cores < 1024:
        raise UsageError(f"a share of {cores} cores cannot be set: give {LEAST_CORES} or more")
    if cores > _WIDE_SHARE:
        return round(_WIDE_PERIOD_US * cores), _WIDE_PERIOD_US
    return _TICK_US, round(_TICK_US / cores)


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuGroup:
    """One virtual board: what is started through `entering`, with all its children, shares its quota."""

    folder: Path
    is_v2: bool

    def entering(self) -> tuple[str, ...]:
        """What to put before a command, so that it runs in the group from its first instruction on."""
        return (
            *("sh", "-c", 'echo $$ > "$0" && exec "$@"'),
            str(self.folder / "cgroup.procs"),
        )

    def set_cores(self, cores: float) -> None:
        """How fast the board is from now on, as a share of one core. Raises: DeviceError, UsageError."""
        quota, period = quota_us(cores)
        if self.is_v2:
            _write(self.folder / "cpu.max", f"{quota} {period}")
            return
        # A quota above what the groups around allow in the period of the moment would be refused.
        _write(self.folder / "cpu.cfs_quota_us", "-1")
        _write(self.folder / "cpu.cfs_period_us", str(period))
        _write(self.folder / "cpu.cfs_quota_us", str(quota))

    def take_precedence(self) -> None:
        """Get the whole quota however busy the machine is with other things. Raises: DeviceError."""
        if self.is_v2:
            _write(self.folder / "cpu.weight", "10000")
        else:
            _write(self.folder / "cpu.shares", "262144")

    def pids(self) -> tuple[int, ...]:
        """The processes that run in it now."""
        try:
            return tuple(int(line) for line in (self.folder / "cgroup.procs").read_text().split())
        except OSError:
            return ()

    def remove(self) -> None:
        """Take the group away once its processes have ended. Raises: DeviceError where they do not."""
        deadline_s = time.monotonic() + _REMOVE_TIMEOUT_S
        while (failure := _removed(self.folder)) is not None:
            if time.monotonic() > deadline_s:
                raise DeviceError(f"{self.folder} cannot be removed: {failure}") from failure
            time.sleep(_POLL_S)


def cannot_limit(root: Path = CGROUP_ROOT) -> str:
    """Why no groups can be made here; empty where they can."""
    if os.geteuid() != 0:
        return "only root may limit the processor: run it as root"
    try:
        folder, _ = _mount(root)
    except DeviceError as error:
        return str(error)
    return "" if os.access(folder, os.W_OK) else f"{folder} is mounted read-only"


@contextlib.contextmanager
def cpu_groups(
    cores: Mapping[str, float], root: Path = CGROUP_ROOT
) -> Iterator[dict[str, CpuGroup]]:
    """A group of so many cores for each name, while the context lasts. Raises: DeviceError, UsageError.

    End what runs in them before the context ends.
    """
    mount, is_v2 = _mount(root)
    prefix = f"edge-mesh-{secrets.token_hex(4)}"
    groups: dict[str, CpuGroup] = {}
    with contextlib.ExitStack() as made:
        for name, share in cores.items():
            groups[name] = CpuGroup(folder=mount / f"{prefix}-{name}", is_v2=is_v2)
            _make(groups[name].folder)
            made.callback(groups[name].remove)
            groups[name].set_cores(share)
            groups[name].take_precedence()
        yield groups


def _mount(root: Path) -> tuple[Path, bool]:
    """Where groups with a CPU quota can be made, and whether they are of cgroup v2."""
    if (root / "cpu" / "cpu.cfs_quota_us").exists():
        return root / "cpu", False
    try:
        shared = (root / "cgroup.subtree_control").read_text().split()
    except OSError:
        shared = []
    if "cpu" not in shared:
        raise DeviceError(
            f"no control groups of {root} limit the processor: mount cgroup v1's cpu, or give cpu "
            "to cgroup.subtree_control"
        )
    return root, True


def _removed(folder: Path) -> OSError | None:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return None
    except OSError as error:
        return error
    return None


def _make(folder: Path) -> None:
    try:
        folder.mkdir()
    except OSError as error:
        raise DeviceError(f"{folder} cannot be made: {error.strerror}") from error


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        raise DeviceError(f"{file} does not take {text}: {error.strerror}") from error
