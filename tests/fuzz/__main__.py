"""The command behind `scripts/fuzz`: makes mutants, tries them, shows what came of them."""

import argparse
import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mesh.cli.terminal import Terminal, real_terminal
from mesh.runtime.detect import detect_runtime
from tests.fuzz.bases import DEFAULT_SAMPLES_FOLDER, all_names, load_bases
from tests.fuzz.campaign import Settings, run_campaign
from tests.fuzz.mutants import Nursery
from tests.fuzz.tally import Tally, draw, draw_one
from tests.fuzz.trial import Verdict

_ROOT = Path(__file__).parents[2]
_STEPS = 20  # lines of progress where the terminal cannot redraw one


def main(arguments: Sequence[str], terminal: Terminal) -> int:
    """0 when every mutant was borne, 1 after a violation."""
    options = _parser().parse_args(arguments)
    count = options.mutants or (1 if options.model else 10_000)
    settings = Settings(
        models=tuple(options.model or all_names()),
        samples_folder=options.samples,
        first_seed=options.seed,
        mutants=count,
        runtime=options.runtime,
        workers=options.workers,
        pieces=options.pieces,
    )
    info = detect_runtime(settings.runtime).info()
    log = _Log(terminal, settings, options)
    started_s = time.monotonic()
    # Ctrl-C ends it early: what was found until then is shown.
    with contextlib.suppress(KeyboardInterrupt):
        run_campaign(settings, log.take)
    took_s = time.monotonic() - started_s
    log.end()
    if count == 1 and log.last is not None:
        terminal.show(draw_one(log.last, terminal.canvas))
    else:
        runtime = f"{info.name} {info.version}"
        terminal.show(draw(log.tally, terminal.canvas, runtime=runtime, took_s=took_s))
    return 1 if log.tally.violations else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz",
        description="Throws hostile model files at reader, slicer and interpreters; "
        "nothing of it may harm the process that reads them.",
    )
    add = parser.add_argument
    add("--mutants", type=int, help="how many (10,000; 1 with --model)")
    add("--seed", type=int, default=0, help="of the first mutant; it also replays one")
    add("--model", choices=all_names(), action="append", help="only of this base model")
    add("--runtime", choices=("auto", "litert", "tflite"), default="auto")
    add("--workers", type=int, default=2, help="processes at a time")
    add(
        "--pieces",
        type=int,
        choices=range(4),
        default=3,
        help="how many of the whole and its two halves are loaded (3); 0 tries the reader alone",
    )
    add("--keep", type=Path, default=_ROOT / "build" / "fuzz", help="folder for bad mutants")
    add("--keep-deaths", action="store_true", help="keep those too that ended a child")
    add("--log", type=Path, help="file for every verdict, one JSON object a line")
    add("--samples", type=Path, default=DEFAULT_SAMPLES_FOLDER, help="folder of sample models")
    return parser


class _Log:
    """Counts verdicts, shows how far it is, and keeps what is needed to look into them."""

    def __init__(self, terminal: Terminal, settings: Settings, options: argparse.Namespace) -> None:
        self.tally = Tally()
        self.last: Verdict | None = None
        self._terminal = terminal
        self._settings = settings
        self._keep: Path = options.keep
        self._keeps_deaths: bool = options.keep_deaths
        self._file = options.log.open("w", encoding="utf-8") if options.log else None
        self._started_s = time.monotonic()

    def take(self, verdict: Verdict) -> None:
        self.tally.add(verdict)
        self.last = verdict
        if self._file:
            line = dataclasses.asdict(verdict) | {"fate": verdict.fate.value}
            self._file.write(json.dumps(line) + "\n")
        child_ended = verdict.fate.value.startswith("child")
        if verdict.violations or (child_ended and self._keeps_deaths):
            self._save(verdict)
        self._show_progress()

    def end(self) -> None:
        if self._file:
            self._file.close()
        if self._terminal.shows_progress:
            self._terminal.err.write("\r\033[K")

    def _save(self, verdict: Verdict) -> None:
        nursery = Nursery(load_bases(self._settings.models, self._settings.samples_folder))
        self._keep.mkdir(parents=True, exist_ok=True)
        path = self._keep / f"{verdict.model}-{verdict.seed}.tflite"
        path.write_bytes(nursery.mutant(verdict.model, verdict.seed).content)
        if verdict.violations:
            self._terminal.note(f"VIOLATION: {'; '.join(verdict.violations)}; kept as {path}")

    def _show_progress(self) -> None:
        done, total = self.tally.total, self._settings.mutants
        took_s = time.monotonic() - self._started_s
        left_s = took_s / done * (total - done)
        line = (
            f"{done:,} of {total:,} mutants, {len(self.tally.violations)} violations, "
            f"{took_s:.0f} s, about {left_s:.0f} s left"
        )
        if self._terminal.shows_progress:
            self._terminal.err.write(f"\r\033[K{line}")
            self._terminal.err.flush()
        elif total > 1 and done % max(1, total // _STEPS) == 0:
            self._terminal.note(line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], real_terminal()))
