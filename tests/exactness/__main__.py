"""Compares every model's slices with the whole, or renders the page of what was found.

python -m tests.exactness run FILE, in each runtime's environment, then python -m tests.exactness
page FILE FILE.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mesh.runtime.detect import detect_runtime
from tests.exactness.catalogue import SAMPLES_FOLDER, entries, model_path
from tests.exactness.page import render
from tests.exactness.results import Outcome, installed_package, load, read_facts, run_all, save


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.exactness")
    parser.add_argument("--samples", type=Path, default=SAMPLES_FOLDER)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="compare every model's slices with the whole")
    run.add_argument("file", type=Path, help="what was found; models run before are kept")
    run.add_argument("--sample", action="store_true", help="only a few ways to cut each")
    run.add_argument("models", nargs="*", help="all when none is named")
    page = commands.add_parser("page", help="write the table of what was found to stdout")
    page.add_argument("files", type=Path, nargs="+")
    chosen = parser.parse_args(arguments)
    if chosen.command == "run":
        return _run(chosen)
    sys.stdout.write(_page(chosen.samples, chosen.files))
    return 0


def _page(samples_folder: Path, files: Sequence[Path]) -> str:
    models = entries(samples_folder)
    with tempfile.TemporaryDirectory() as folder:
        facts = {
            name: read_facts(model_path(name, samples_folder, Path(folder))) for name in models
        }
    return render(models, facts, [load(file) for file in files])


def _run(chosen: argparse.Namespace) -> int:
    info = detect_runtime().info()
    outcomes = load(chosen.file)[1] if chosen.file.exists() else {}
    started_s = time.monotonic()
    found = run_all(
        chosen.models or list(entries(chosen.samples)),
        chosen.samples,
        installed_package(),
        is_full=not chosen.sample,
        at_once=os.cpu_count() or 1,
    )
    exact = True
    for name, outcome in found:
        outcomes[name] = outcome
        save(chosen.file, f"{info.name} {info.version}", outcomes)
        exact = exact and not any(verdict.problems for verdict in outcome.verdicts.values())
        sys.stdout.write(f"{time.monotonic() - started_s:6.0f} s  {name}: {_said(outcome)}\n")
        sys.stdout.flush()
    return 0 if exact else 1


def _said(outcome: Outcome) -> str:
    if outcome.facts.refusal:
        return f"refused: {outcome.facts.refusal}"
    verdicts = [
        f"{kernels} {verdict.ways} ways, {len(verdict.problems)} problems{verdict.refusal}"
        for kernels, verdict in outcome.verdicts.items()
    ]
    return "; ".join(verdicts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
