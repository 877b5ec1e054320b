from pathlib import Path
from typing import Any

import pytest

from mesh.device.cgroup import cpu_limit, memory_limits

UNLIMITED_V1 = str((1 << 63) - 4096)


def test_version_2_counts_every_group_up_to_the_root(machine: Any) -> None:
    root = machine(
        {
            "proc/self/cgroup": "0::/pod/node\n",
            "sys/fs/cgroup/pod/memory.max": "3000\n",
            "sys/fs/cgroup/pod/memory.current": "1000\n",
            "sys/fs/cgroup/pod/node/memory.max": "max\n",
            "sys/fs/cgroup/pod/node/memory.current": "500\n",
        }
    )
    assert memory_limits(root) == [(3000, 1000)]


def test_version_1_has_a_hierarchy_of_its_own(machine: Any) -> None:
    root = machine(
        {
            "proc/self/cgroup": "5:devices:/\n4:cpu,memory:/lab/pi\n0::/\n",
            "sys/fs/cgroup/memory/lab/pi/memory.limit_in_bytes": "2000\n",
            "sys/fs/cgroup/memory/lab/pi/memory.usage_in_bytes": "200\n",
            "sys/fs/cgroup/memory/lab/memory.limit_in_bytes": f"{UNLIMITED_V1}\n",
            "sys/fs/cgroup/memory/lab/memory.usage_in_bytes": "300\n",
        }
    )
    assert memory_limits(root) == [(2000, 200)]


def test_a_path_cannot_leave_the_hierarchy(machine: Any) -> None:
    root = machine(
        {
            "proc/self/cgroup": "0::/../../outside\n",
            "outside/memory.max": "1\n",
            "outside/memory.current": "1\n",
        }
    )
    assert memory_limits(root) == []


@pytest.mark.parametrize("text", ["", "garbage\n", "0::\n", "x:memory\n"])
def test_whatever_else_stands_there_is_no_limit(machine: Any, text: str) -> None:
    assert memory_limits(machine({"proc/self/cgroup": text})) == []


def test_no_file_no_limit(tmp_path: Path) -> None:
    assert memory_limits(tmp_path) == []


def test_a_quota_of_version_2_is_a_share_of_cores(machine: Any) -> None:
    root = machine(
        {
            "proc/self/cgroup": "0::/pod/node\n",
            "sys/fs/cgroup/pod/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/pod/node/cpu.max": "max 100000\n",
        }
    )
    limit = cpu_limit(root)
    assert limit is not None
    assert limit.cores == 1.5


def test_the_tightest_quota_around_counts(machine: Any) -> None:
    root = machine(
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/lab/pi\n",
            "sys/fs/cgroup/cpu/lab/cpu.cfs_quota_us": "4000\n",
            "sys/fs/cgroup/cpu/lab/cpu.cfs_period_us": "20000\n",
            "sys/fs/cgroup/cpu/lab/pi/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/lab/pi/cpu.cfs_period_us": "100000\n",
        }
    )
    limit = cpu_limit(root)
    assert limit is not None
    assert limit.cores == 0.2
    assert limit.group == (root / "sys/fs/cgroup/cpu/lab").stat().st_ino


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("cpu.max", "max 100000\n"),
        ("cpu.max", "0 100000\n"),
        ("cpu.max", "5 0\n"),
        ("cpu.max", "-5 100000\n"),
        ("cpu.max", "much\n"),
        ("cpu.max", f"{'9' * 40} 1\n"),
        ("cpu.cfs_quota_us", "4000\n"),
    ],
)
def test_what_is_no_quota_is_none(machine: Any, file: str, text: str) -> None:
    root = machine({"proc/self/cgroup": "0::/\n1:cpu:/\n", f"sys/fs/cgroup/{file}": text})
    assert cpu_limit(root) is None


def test_no_quota_of_version_1_is_less_than_nothing(machine: Any) -> None:
    root = machine(
        {
            "proc/self/cgroup": "1:cpu:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        }
    )
    assert cpu_limit(root) is None
