"""Reads the board: what it is (`BoardFacts`, once) and how it is (`DeviceStatus`, each second).

Which sensors to read comes from the device profile; nothing here knows a board by name. Whatever
cannot be read is None, since a sensor that is missing must not stop a node.
"""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mesh.device.cgroup import cpu_limit, memory_limits
from mesh.device.processor import process_machine
from mesh.device.profile import BoardFacts, DeviceProfile, Power
from mesh.device.sensors import ThermalSensors
from mesh.device.system_files import read_text
from mesh.errors import DeviceError

_MAX_MODEL_CHARS = 128
_QUERY_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStatus:
    """How the board is now. `throttled` is None where neither a sensor nor a limit is known."""

    load_1min: float
    temperature_c: float | None
    memory_available_bytes: int
    throttled: bool | None


class Board:
    """The files of one machine."""

    def __init__(
        self,
        root: Path = Path("/"),
        *,
        machine: str | None = None,
        allowed_cores: int | None = None,
        page_bytes: int | None = None,
    ) -> None:
        """The three others are this process's own unless given."""
        self._root = root
        self._machine = machine or process_machine()
        self._allowed_cores = allowed_cores or len(os.sched_getaffinity(0))
        self._page_bytes = page_bytes or os.sysconf("SC_PAGE_SIZE")
        self._sensors = ThermalSensors(root)

    def facts(self) -> BoardFacts:
        """Raises: DeviceError when the machine does not say how much memory it has."""
        memory_bytes = self._memory_info().get("MemTotal")
        if memory_bytes is None:
            raise DeviceError(
                f"{self._root / 'proc/meminfo'} does not say MemTotal: is /proc there?"
            )
        limits = [limit for limit, _ in memory_limits(self._root)]
        return BoardFacts(
            model=self._model(),
            machine=self._machine,
            cores=max(1, int(self.cores())),
            memory_bytes=min([memory_bytes, *limits]),
            page_bytes=self._page_bytes,
            host_id=self._host_id(),
        )

    def cores(self) -> float:
        """How many processor cores this process and its children may use now; a CPU quota may leave less than one."""
        limit = cpu_limit(self._root)
        whole = float(min(self._allowed_cores, self._online_cores()))
        return whole if limit is None else min(whole, limit.cores)

    def status(self, profile: DeviceProfile) -> DeviceStatus:
        temperature_c = self._sensors.temperature_c(profile.thermal)
        return DeviceStatus(
            load_1min=self._load_1min(),
            temperature_c=temperature_c,
            memory_available_bytes=self.memory_available_bytes(),
            throttled=self._sensors.throttled(profile.thermal, temperature_c),
        )

    def power_mode(self, profile: DeviceProfile) -> str:
        """The power mode's name, or "" where the board has none. Runs a command: not for each second."""
        power = profile.power
        if not power.query or shutil.which(power.query[0]) is None:
            return ""
        try:
            answer = subprocess.run(
                power.query,
                capture_output=True,
                timeout=_QUERY_TIMEOUT_S,
                check=False,
                stdin=subprocess.DEVNULL,
            ).stdout
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return parse_power_mode(answer.decode("utf-8", "replace"), power)

    def _model(self) -> str | None:
        """As the device tree has it, else vendor and product as the firmware has them."""
        names = [read_text(self._root / "proc/device-tree/model")]
        if not names[0]:
            dmi = self._root / "sys/class/dmi/id"
            names = [read_text(dmi / "sys_vendor"), read_text(dmi / "product_name")]
        text = " ".join(name for name in names if name)
        kept = "".join(c for c in text if c.isprintable())
        return kept.strip()[:_MAX_MODEL_CHARS] or None

    def _online_cores(self) -> int:
        text = read_text(self._root / "sys/devices/system/cpu/online")
        return count_list(text or "") or self._allowed_cores

    def _host_id(self) -> str:
        """Equal for nodes that share processors, containers included; tells nothing of the machine.

        Under a CPU quota, its group is a machine of its own.
        """
        limit = cpu_limit(self._root)
        group = "" if limit is None else f" group {limit.group}"
        # The boot id is one per kernel, whereas containers may bring a machine id of their own
        # and copied SD cards share one.
        for path in ("proc/sys/kernel/random/boot_id", "etc/machine-id"):
            text = read_text(self._root / path)
            if text:
                return hashlib.sha256(f"edge-mesh host {text}{group}".encode()).hexdigest()[:16]
        return ""

    def _memory_info(self) -> dict[str, int]:
        return parse_meminfo(read_text(self._root / "proc/meminfo") or "")

    def memory_available_bytes(self) -> int:
        """What this process may still take; 0 where the machine does not say."""
        left = [max(0, limit - use) for limit, use in memory_limits(self._root)]
        return min([self._memory_info().get("MemAvailable", 0), *left])

    def _load_1min(self) -> float:
        try:
            return float((read_text(self._root / "proc/loadavg") or "").split()[0])
        except (ValueError, IndexError):
            return 0.0


def count_list(text: str) -> int:
    """How many numbers a kernel list like "0-3,6" names; 0 when it is not one."""
    count = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            return 0
        count += max(0, int(last or first) - int(first) + 1)
    return count


def parse_meminfo(text: str) -> dict[str, int]:
    """/proc/meminfo in bytes; the kernel's "kB" are 1024 bytes."""
    sizes = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        fields = rest.split()
        if fields and fields[0].isdecimal():
            sizes[name] = int(fields[0]) * (1024 if fields[1:] == ["kB"] else 1)
    return sizes


def parse_power_mode(answer: str, power: Power) -> str:
    """The name in the power tool's answer, or "" when the line is not there."""
    for line in answer.splitlines():
        if line.startswith(power.answer_prefix):
            return line[len(power.answer_prefix) :].strip()[:32]
    return ""
