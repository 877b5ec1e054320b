"""The board's power mode, asked for now and then beside the loop: it may be changed while the node runs."""

from collections.abc import Callable

from mesh.errors import MeshError

POLL_S = 60.0
"""A command tells it."""

Run = Callable[[Callable[[], str], Callable[[str | MeshError], None]], None]


class PowerMode:
    """On the loop's thread; `now` may be read on any. Empty where the board has none."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read
        self._next_s: float | None = None
        self.now = read()

    def keep(self, run: Run, *, now_s: float) -> None:
        """Ask again when it is time; `run` does what takes a while, and hands back its result."""
        if self._next_s is None:
            self._next_s = now_s + POLL_S
        if now_s >= self._next_s:
            self._next_s = now_s + POLL_S
            run(self._read, self._told)

    def _told(self, answer: str | MeshError) -> None:
        """A command that failed to answer says nothing about the mode."""
        if isinstance(answer, str) and answer:
            self.now = answer
