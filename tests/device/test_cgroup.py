from pathlib import Path
from typing import Any

import pytest

from mesh.device.cgroup import memory_limits

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
