"""How long an interpreter may be silent before it counts as hung; who ends it is decided elsewhere. Pure."""

from collections.abc import Sequence

from mesh.wire.measured import MAX_TIME_S

LOAD_S = 30.0
"""Starting Python, NumPy and the runtime from a cold SD card takes a Pi Zero 2 W several seconds."""
INVOKE_S = 5.0
"""Two threads on busy cores were seen to take 0.95 s where 0.013 s is usual; a throttled board, 4 × that."""
FACTOR = 30.0
"""Clocks fall to a quarter when a board throttles, and seven other processes may share a core."""
DISK_BYTES_PER_S = 5e6
"""Weights are read when they are first used, and again after memory ran short: a worn SD card's speed."""


def load_deadline_s(slice_bytes: int) -> float:
    """For loading a slice file of this size."""
    return LOAD_S + slice_bytes / DISK_BYTES_PER_S


def invoke_deadline_s(runs_s: Sequence[float], *, planned_s: float, slice_bytes: int) -> float:
    """For one run, by the slowest of the last ones on this node, or by the plan where there is none."""
    usual_s = max(runs_s, default=planned_s)
    return min(max(INVOKE_S, FACTOR * usual_s) + slice_bytes / DISK_BYTES_PER_S, MAX_TIME_S)
