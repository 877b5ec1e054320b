"""How many threads an interpreter gets: as configured, else the fewest that are about the fastest.

How a run is timed is the caller's business (`mesh.runtime.measuring`).
"""

from collections.abc import Callable

MAX_THREADS = 4
"""Beyond four, small boards have no faster cores left and TFLite's gain falls off."""
WORTHWHILE_GAIN = 1.1
"""More threads must be faster by this factor: they take the cores of whoever else is busy here."""

TimeWith = Callable[[int], float]
"""Seconds of a run with so many threads."""


def most_threads(configured: int, cores: int, nodes: int = 1) -> int:
    """The configured number, else this node's share of the cores of its machine, at most 4.

    Nodes that share a machine are measured one at a time, where more threads look faster than they
    are once all nodes are busy.
    """
    return configured if configured > 0 else max(1, min(cores // max(1, nodes), MAX_THREADS))


def best_threads(most: int, time_with: TimeWith) -> int:
    """The fewest threads that come within `WORTHWHILE_GAIN` of the fastest. Raises: what `time_with` raises.

    Where more threads are slower than one, the cores are busy, and still more are not tried: on
    busy cores two threads took 949 ms instead of 13–38 ms with tflite-runtime 2.14.
    """
    times_s: dict[int, float] = {}
    for threads in range(1, most + 1):
        times_s[threads] = time_with(threads)
        if times_s[threads] > WORTHWHILE_GAIN * times_s[1]:
            break
    fastest_s = min(times_s.values(), default=0.0)
    enough = (threads for threads, s in times_s.items() if s <= WORTHWHILE_GAIN * fastest_s)
    return min(enough, default=1)
