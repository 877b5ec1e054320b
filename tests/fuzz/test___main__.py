import io
import json
from pathlib import Path

from mesh.cli.terminal import Terminal
from tests.fuzz.__main__ import main


def _run(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main(arguments, Terminal(out, err, {}))
    return status, out.getvalue(), err.getvalue()


def test_a_mutant_is_replayed_by_its_model_and_seed(tmp_path: Path) -> None:
    status, shown, _ = _run("--model", "dense", "--seed", "3", "--pieces", "0")

    assert status == 0
    assert "dense, seed 3" in shown
    assert "violations  none" in shown


def test_many_mutants_are_counted_and_logged(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"

    status, shown, progress = _run(
        *("--model", "dense", "--model", "variable"),
        *("--mutants", "60", "--pieces", "0", "--log", str(log)),
    )

    assert status == 0
    assert shown.startswith("60 mutants on ")
    assert "60 of 60 mutants, 0 violations" in progress
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert sorted(line["seed"] for line in lines) == list(range(60))
