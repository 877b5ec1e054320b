import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.device.cgroup import CpuLimit
from mesh.errors import DeviceError, UsageError
from mesh.testing.cpu_quota import (
    CGROUP_ROOT,
    LEAST_CORES,
    CpuGroup,
    cannot_limit,
    cpu_groups,
    quota_us,
)

TICK_US = 4000
BURN = "import time\nwhile True: time.process_time()"
BURNING_S = 1.0

limited = pytest.mark.skipif(bool(cannot_limit()), reason=cannot_limit() or "it can be limited")


@given(st.floats(min_value=LEAST_CORES, max_value=64))
def test_a_quota_is_the_share_of_its_period_and_no_less_than_a_tick(cores: float) -> None:
    quota, period = quota_us(cores)
    assert quota / period == pytest.approx(cores, rel=0.02)
    assert quota >= TICK_US
    assert 1000 <= period <= 1_000_000, "what the kernel takes"


@pytest.mark.parametrize("cores", [0.0, -1.0, 0.001, 1e9, float("nan")])
def test_a_share_that_no_period_holds_is_refused(cores: float) -> None:
    with pytest.raises(UsageError):
        quota_us(cores)


def version_2(root: Path, controllers: str = "cpu memory") -> Path:
    root.mkdir(exist_ok=True)
    (root / "cgroup.subtree_control").write_text(controllers)
    return root


def test_version_2_is_used_where_it_may_limit_the_processor(tmp_path: Path) -> None:
    made = CpuGroup(folder=version_2(tmp_path), is_v2=True)
    made.set_cores(0.25)
    assert (tmp_path / "cpu.max").read_text() == "4000 16000"


def test_where_nothing_limits_the_processor_is_told_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(DeviceError, match=r"subtree_control"),
        cpu_groups({"a": 0.5}, version_2(tmp_path, "memory")),
    ):
        pass


@limited
def test_nothing_stays_behind_when_a_share_is_refused() -> None:
    with pytest.raises(UsageError), cpu_groups({"a": 0.5, "refused": 0.0}):
        pass
    assert not list(CGROUP_ROOT.glob("**/edge-mesh-*-refused"))


def test_a_group_without_processes_says_so(tmp_path: Path) -> None:
    assert CpuGroup(folder=tmp_path / "gone", is_v2=False).pids() == ()
    CpuGroup(folder=tmp_path / "gone", is_v2=False).remove()


def children_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


@limited
def test_a_process_gets_its_share_of_a_core_and_knows_it() -> None:
    with cpu_groups({"slow": 0.1, "fast": 0.3}) as groups:
        used_s = {}
        for name, group in groups.items():
            began_s = children_s()
            with subprocess.Popen([*group.entering(), sys.executable, "-c", BURN]) as burning:
                ended = time.monotonic() + BURNING_S
                while not group.pids() or time.monotonic() < ended:
                    os.sched_yield()
                assert group.pids() == (burning.pid,)
                burning.kill()
            used_s[name] = children_s() - began_s
    assert used_s["fast"] / used_s["slow"] == pytest.approx(3, rel=0.3)
    assert not any(group.folder.exists() for group in groups.values())


@limited
def test_a_node_of_a_group_is_a_machine_of_its_own() -> None:
    ask = (
        "from pathlib import Path; from mesh.device.cgroup import cpu_limit;"
        "print(repr(cpu_limit(Path('/'))))"
    )
    with cpu_groups({"a": 0.125, "b": 0.25}) as groups:
        told = {
            name: subprocess.run(
                [*group.entering(), sys.executable, "-c", ask],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for name, group in groups.items()
        }
        limits = [eval(one, {"CpuLimit": CpuLimit}) for one in told.values()]
    assert [limit.cores for limit in limits] == [0.125, 0.25]
    assert all(a.group != b.group for a, b in itertools.combinations(limits, 2))
