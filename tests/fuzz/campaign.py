"""Tries many mutants in worker processes, each of which stands for a node: it must outlive them all.

A worker that dies, or says nothing for too long, is a violation; another takes its place.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path

from mesh.runtime.detect import detect_runtime
from tests.fuzz.bases import load_bases
from tests.fuzz.children import CHILD_MEMORY_BYTES, INVOKE_DEADLINE_S, LOAD_DEADLINE_S, RUNS, Fate
from tests.fuzz.mutants import Nursery
from tests.fuzz.trial import Verdict, try_mutant

PATIENCE_S = 3 * (LOAD_DEADLINE_S + RUNS * INVOKE_DEADLINE_S) + 30
"""How long a worker may take over one mutant: all pieces up to their deadlines, and some air."""
_START_S = 120
_READY = "ready"

_SPAWN = multiprocessing.get_context("spawn")
OnVerdict = Callable[[Verdict], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is tried: `mutants` seeds from `first_seed` on, going round the models.

    `pieces` is how many of the whole and its two halves are loaded: 0 for the reader alone.
    """

    models: tuple[str, ...]
    samples_folder: Path
    first_seed: int = 0
    mutants: int = 10_000
    runtime: str = "auto"
    workers: int = 2
    pieces: int = 3

    def tasks(self) -> Iterator[tuple[str, int]]:
        """(model, seed) of each mutant."""
        for seed in range(self.first_seed, self.first_seed + self.mutants):
            yield self.models[seed % len(self.models)], seed


def run_campaign(settings: Settings, on_verdict: OnVerdict) -> None:
    """Try all mutants, handing out each verdict as it comes, in no certain order."""
    tasks = settings.tasks()
    workers = [_Worker(settings) for _ in range(min(settings.workers, settings.mutants))]
    try:
        busy = [worker for worker in workers if worker.take(next(tasks, None))]
        while busy:
            for worker in _heard(busy):
                on_verdict(worker.verdict())
                if not worker.take(next(tasks, None)):
                    busy.remove(worker)
    finally:
        for worker in workers:
            worker.end()


def _heard(workers: list["_Worker"]) -> list["_Worker"]:
    """Those that have a verdict, died, or are out of time."""
    ready = connection.wait([worker.connection for worker in workers], timeout=1.0)
    now_s = time.monotonic()
    return [
        worker
        for worker in workers
        if worker.connection in ready or now_s - worker.since_s > PATIENCE_S
    ]


class _Worker:
    """One process and what it works on."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._start()

    def _start(self) -> None:
        self.connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_work, args=(theirs, self._settings))
        self._process.start()
        theirs.close()
        if not self.connection.poll(_START_S):
            raise TimeoutError("a worker did not start")
        self.connection.recv()  # its first word; EOFError when it could not start

    def take(self, task: tuple[str, int] | None) -> bool:
        """Begin with the task; False when there is none."""
        if task is None:
            return False
        self._task = task
        self.since_s = time.monotonic()
        self.connection.send(task)
        return True

    def verdict(self) -> Verdict:
        """What it found, or what became of itself; in that case a new process takes over."""
        if self.connection.poll():
            try:
                verdict: Verdict = self.connection.recv()
            except (EOFError, OSError):
                return self._replaced("the reading process died")
            return verdict
        return self._replaced(f"the reading process hung for {PATIENCE_S:g} s")

    def _replaced(self, what: str) -> Verdict:
        self.end()
        what = f"{what} (exit status {self._process.exitcode})"
        self._start()
        model, seed = self._task
        return Verdict(
            model=model,
            seed=seed,
            kind="unknown",
            changes="",
            fate=Fate.FAILED,
            violations=(what,),
        )

    def end(self) -> None:
        self.connection.close()
        self._process.join(2)
        self._process.kill()
        self._process.join()


def _work(tasks: Connection, settings: Settings) -> None:
    """A worker's life: until there are no more tasks."""
    nursery = Nursery(load_bases(settings.models, settings.samples_folder))
    runtime = detect_runtime(settings.runtime, memory_bytes=CHILD_MEMORY_BYTES)
    tasks.send(_READY)
    with tempfile.TemporaryDirectory(prefix="mesh-fuzz-") as folder:
        while True:
            try:
                model, seed = tasks.recv()
            except EOFError:
                return
            mutant = nursery.mutant(model, seed)
            tasks.send(try_mutant(mutant, runtime, Path(folder), pieces=settings.pieces))
