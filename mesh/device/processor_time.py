"""How much processor time a process has used so far, all its threads together; whose it is, others know."""

import time

_SCHED_CLOCK = 2
"""CPUCLOCK_SCHED of include/linux/posix-timers_types.h: what the scheduler has charged, in nanoseconds."""


def processor_s(pid: int | None = None) -> float:
    """Of this process, or of another one of this machine; 0 once that is gone.

    The clock of another process is numbered as clock_getcpuclockid(3) does it, which Python lacks.
    """
    if pid is None:
        return time.process_time()
    try:
        return time.clock_gettime((~pid << 3) | _SCHED_CLOCK)
    except OSError:
        return 0.0
