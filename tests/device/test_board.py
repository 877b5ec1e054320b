import sys
from pathlib import Path
from typing import Any

import pytest

from mesh.device.board import Board, count_list, parse_meminfo, parse_power_mode
from mesh.device.profile import DeviceProfile, Match, Memory, Power, Thermal
from mesh.errors import DeviceError

PI_5 = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/meminfo": "MemTotal:        8245248 kB\nMemFree:  1 kB\nMemAvailable:    7000000 kB\n",
    "proc/loadavg": "0.52 0.58 0.59 1/389 12345\n",
    "proc/sys/kernel/random/boot_id": "6d2c1b34-0000-4000-8000-000000000001\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "sys/devices/system/cpu/online": "0-3\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "61250\n",
}
PROFILE = DeviceProfile(
    name="board",
    title="Board",
    match=Match(machines=("aarch64",)),
    memory=Memory(reserved_bytes=1),
    thermal=Thermal(zones=("cpu-thermal",), throttles_c=80.0),
)


def board(root: Path, allowed_cores: int = 64) -> Board:
    return Board(root, machine="aarch64", allowed_cores=allowed_cores, page_bytes=16384)


def test_facts_of_a_board(machine: Any) -> None:
    facts = board(machine(PI_5)).facts()
    assert facts.model == "Raspberry Pi 5 Model B Rev 1.0"
    assert (facts.machine, facts.cores, facts.page_bytes) == ("aarch64", 4, 16384)
    assert facts.memory_bytes == 8245248 * 1024
    assert len(facts.host_id) == 16


def test_a_process_may_have_fewer_cores(machine: Any) -> None:
    assert board(machine(PI_5), allowed_cores=2).facts().cores == 2


def test_a_container_has_the_memory_that_its_group_leaves(machine: Any) -> None:
    group = {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": "536870912\n",
        "sys/fs/cgroup/memory.current": "136870912\n",
    }
    here = board(machine(PI_5 | group))
    assert here.facts().memory_bytes == 536870912
    assert here.status(PROFILE).memory_available_bytes == 400000000


def test_status_of_a_board(machine: Any) -> None:
    status = board(machine(PI_5)).status(PROFILE)
    assert status.load_1min == 0.52
    assert status.temperature_c == 61.25
    assert status.memory_available_bytes == 7000000 * 1024
    assert status.throttled is False


def test_what_is_missing_is_unknown(machine: Any) -> None:
    here = board(machine({"proc/meminfo": "MemTotal: 1 kB\n"}), allowed_cores=3)
    facts, status = here.facts(), here.status(PROFILE)
    assert (facts.model, facts.cores, facts.host_id) == (None, 3, "")
    assert (status.temperature_c, status.throttled) == (None, None)
    assert (status.load_1min, status.memory_available_bytes) == (0.0, 0)


def test_a_machine_without_memory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="MemTotal"):
        board(tmp_path).facts()


def test_the_model_is_cleaned_and_bounded(machine: Any) -> None:
    facts = board(machine(PI_5 | {"proc/device-tree/model": "Evil\x1b[2J" + "x" * 999})).facts()
    assert facts.model is not None
    assert facts.model.startswith("Evil[2Jxxx")
    assert len(facts.model) == 128


def test_without_a_device_tree_the_firmware_names_the_machine(machine: Any) -> None:
    named = {
        "proc/meminfo": "MemTotal: 1 kB\n",
        "sys/class/dmi/id/sys_vendor": "Intel(R) Client Systems\n",
        "sys/class/dmi/id/product_name": "NUC8i5BEH\n",
    }
    assert board(machine(named)).facts().model == "Intel(R) Client Systems NUC8i5BEH"
    assert board(machine(PI_5 | named)).facts().model == "Raspberry Pi 5 Model B Rev 1.0"


def test_nodes_of_one_boot_share_the_host(machine: Any) -> None:
    host_id = board(machine(PI_5)).facts().host_id
    in_a_container = PI_5 | {"etc/machine-id": "ffffffffffffffffffffffffffffffff\n"}
    assert board(machine(in_a_container)).facts().host_id == host_id
    another_boot = PI_5 | {"proc/sys/kernel/random/boot_id": "another\n"}
    assert board(machine(another_boot)).facts().host_id != host_id


def test_this_machine_can_be_read() -> None:
    here = Board()
    assert here.facts().cores >= 1
    assert here.status(PROFILE).memory_available_bytes > 0


def with_power(*query: str) -> DeviceProfile:
    return DeviceProfile(
        name="board",
        title="Board",
        match=Match(machines=("aarch64",)),
        memory=Memory(reserved_bytes=1),
        power=Power(query=query, answer_prefix="NV Power Mode: "),
    )


def test_the_power_mode_is_asked_of_the_command(tmp_path: Path) -> None:
    answer = "print('NVPM VERB\\nNV Power Mode: 15W\\n0')"
    assert board(tmp_path).power_mode(with_power(sys.executable, "-c", answer)) == "15W"


def test_no_power_mode_where_the_command_is_missing_or_fails(tmp_path: Path) -> None:
    here = board(tmp_path)
    assert here.power_mode(PROFILE) == ""
    assert here.power_mode(with_power("no-such-command")) == ""
    assert here.power_mode(with_power(sys.executable, "-c", "raise SystemExit(1)")) == ""


@pytest.mark.parametrize(
    ("text", "count"), [("0-3", 4), ("0", 1), ("0-3,6,8-9", 7), ("", 0), ("x-y", 0), ("3-", 1)]
)
def test_kernel_lists(text: str, count: int) -> None:
    assert count_list(text) == count


def test_meminfo_is_in_bytes() -> None:
    assert parse_meminfo("MemTotal: 2 kB\nHugePages_Total: 3\nbroken\nBad: x kB\n") == {
        "MemTotal": 2048,
        "HugePages_Total": 3,
    }


def test_an_answer_without_the_line_is_no_mode() -> None:
    power = Power(query=("q",), answer_prefix="NV Power Mode: ")
    assert parse_power_mode("Error\n", power) == ""
    assert parse_power_mode("NV Power Mode: MAXN_SUPER\n2\n", power) == "MAXN_SUPER"


def test_a_quota_leaves_a_share_of_a_core_and_makes_a_machine_of_its_own(machine: Any) -> None:
    group = {
        "proc/self/cgroup": "0::/node\n",
        "sys/fs/cgroup/node/cpu.max": "20000 100000\n",
    }
    host_id = board(machine(PI_5)).facts().host_id
    here = board(machine(PI_5 | group))
    assert here.cores() == 0.2
    assert here.facts().cores == 1, "for threads, which are whole"
    assert here.facts().host_id != host_id


def test_a_quota_of_more_than_there_is_changes_nothing(machine: Any) -> None:
    group = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "6400000 100000\n"}
    assert board(machine(PI_5 | group)).cores() == 4.0
