"""Shows on standard error how far slow work is: bars in a terminal, lines elsewhere, or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from mesh.cli import figures
from mesh.cli.terminal import Terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something under way; `total` 0 means that nobody knows how long it is."""

    label: str
    done: int = 0
    total: int = 0
    is_bytes: bool = False

    @property
    def extent(self) -> str:
        """As "7/12" or "1.5 MiB of 6.4 MiB"."""
        if self.total <= 0:
            return ""
        if self.is_bytes:
            return f"{figures.size(self.done)} of {figures.size(self.total)}"
        return f"{self.done}/{self.total}"

    @property
    def is_done(self) -> bool:
        return self.total > 0 and self.done >= self.total


class Steps(Protocol):
    """Level-triggered: each call says everything that is under way."""

    def show(self, steps: Sequence[Step]) -> None:
        """Show these in place of the ones before."""
        ...

    def close(self) -> None:
        """Take everything away."""
        ...


def steps_for(terminal: Terminal, *, quiet: bool) -> Steps:
    """`quiet`: bars still, for they leave nothing behind, but no lines."""
    if terminal.shows_progress:
        return _BarSteps(terminal)
    return _LineSteps(None if quiet else terminal)


class _BarSteps:
    def __init__(self, terminal: Terminal) -> None:
        coloured = "NO_COLOR" not in terminal.environment
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[extent]}", markup=False),
            console=Console(file=terminal.err, no_color=not coloured, markup=False),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def close(self) -> None:
        self._progress.stop()

    def show(self, steps: Sequence[Step]) -> None:
        if steps:
            self._progress.start()  # harmless when it runs
        self._update(steps)
        if not steps:
            self._progress.stop()  # nothing stays behind: other text may follow

    def _update(self, steps: Sequence[Step]) -> None:
        for step in steps:
            total = step.total or None
            if step.label not in self._tasks:
                self._tasks[step.label] = self._progress.add_task(
                    step.label, total=total, extent=step.extent
                )
            self._progress.update(
                self._tasks[step.label], completed=step.done, total=total, extent=step.extent
            )
        labels = {step.label for step in steps}
        for label in self._tasks.keys() - labels:
            self._progress.remove_task(self._tasks.pop(label))


class _LineSteps:
    """One line when something begins and one when it is done: a log stays short."""

    def __init__(self, terminal: Terminal | None) -> None:
        self._terminal = terminal
        self._told: dict[str, bool] = {}

    def close(self) -> None:
        """Lines stay."""

    def show(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if self._terminal is not None and self._told.get(step.label) != step.is_done:
                self._terminal.note(f"{step.label} {step.extent}".rstrip())
            self._told[step.label] = step.is_done
