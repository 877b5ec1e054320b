"""`mesh demo`: its options, and the real thing from its first word to its last process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from mesh.cli import demo
from mesh.cli.options import Parser
from mesh.errors import UsageError

ROOT = Path(__file__).parents[2]
END_TIMEOUT_S = 40.0
# Shells start background processes with SIGINT ignored, and tests may run in such a one.
AS_IN_A_TERMINAL = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from mesh.cli.main import main; sys.exit(main())"
)


def parse(*words: str) -> Any:
    parser = Parser(prog="mesh demo")
    demo.configure(parser)
    return parser.parse_args(words)


def test_options() -> None:
    args = parse()
    assert (args.nodes, args.broker, args.samples, args.keep, args.json) == (
        *(3, None, None),
        *(False, False),
    )
    args = parse("--nodes", "4", "--broker", "embedded", "--samples", "x", "--keep", "--json")
    assert (args.nodes, args.broker, args.samples) == (4, "embedded", Path("x"))
    assert args.keep
    assert args.json


@pytest.mark.parametrize(
    "words", [("--nodes", "1"), ("--nodes", "9"), ("--nodes", "x"), ("--broker", "emqx"), ("pose",)]
)
def test_what_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        parse(*words)


# The real thing


class Run:
    """A demo in a process of its own; its temporary files go below `folder`, which also marks it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", AS_IN_A_TERMINAL, "demo", *options],
            cwd=folder,
            env={**_environment(), "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def read_until(self, word: str) -> None:
        """Read what it says on standard error until a line holds the word."""
        assert self.process.stderr is not None
        said = []
        for line in self.process.stderr:
            said.append(line)
            if word in line:
                return
        raise AssertionError("".join(said))

    def processes(self) -> list[psutil.Process]:
        """Itself, its nodes, their brokers and interpreters: all have its environment."""
        return [one for one in psutil.process_iter() if self._is_own(one)]

    def left_behind(self) -> list[object]:
        """Processes that do not end, and folders; the lock to measure by turns is the machine's."""
        alive = psutil.wait_procs(self.processes(), timeout=10)[1]
        return [*alive, *(one for one in self.folder.iterdir() if one.is_dir())]

    def _is_own(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            return process.environ().get("TMPDIR") == str(self.folder)
        return False


def _environment() -> Mapping[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("MESH_")}


@pytest.fixture
def samples_dir(sample_model: Callable[[str], Path]) -> str:
    sample_model(demo.PHOTO)
    return str(sample_model(demo.SAMPLE).parent)


@pytest.fixture
def start(samples_dir: str) -> Iterator[Callable[..., Run]]:
    # Not tmp_path, which is for one user only: mosquitto, started by root, reads as another one.
    with tempfile.TemporaryDirectory(prefix="mesh-demo-test-") as folder:
        Path(folder).chmod(0o755)
        runs: list[Run] = []

        def start_one(*options: str) -> Run:
            runs.append(Run(Path(folder), "--samples", samples_dir, *options))
            return runs[-1]

        yield start_one
        for run in runs:
            run.process.kill()
            run.process.communicate()
            psutil.wait_procs(run.processes(), timeout=END_TIMEOUT_S)


@pytest.mark.real
@pytest.mark.samples
@pytest.mark.timeout(180)
def test_it_keeps_its_promises_and_leaves_nothing_behind(start: Callable[..., Run]) -> None:
    run = start("--json")
    out, err = run.process.communicate(timeout=170)
    assert run.process.returncode == 0, out + err
    figures = json.loads(out)
    assert figures["status"] == "ok"
    assert figures["equal"] == figures["checked"] > 0
    assert figures["kill_answered"] == figures["kill_sent"] > 0
    assert (figures["kill_wrong"], figures["kill_failed"]) == (0, 0)
    assert figures["pipeline_hops"] >= 2
    for name in (
        *("found_each_other_s", "predicted_requests_per_s", "pipeline_requests_per_s"),
        *("pipeline_answer_s", "pipeline_per_hop_s", "single_requests_per_s", "single_answer_s"),
        "kill_longest_pause_s",
    ):
        assert 0 < figures[name] < 1e4, name
    assert err == ""
    assert run.left_behind() == []


@pytest.mark.real
@pytest.mark.samples
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("word", "number", "status"),
    [
        ("starting", signal.SIGINT, 130),
        ("uploading", signal.SIGTERM, 128 + signal.SIGTERM),
        ("measuring", signal.SIGINT, 130),
    ],
)
def test_it_cleans_up_when_it_is_interrupted(
    start: Callable[..., Run], word: str, number: signal.Signals, status: int
) -> None:
    run = start("--nodes", "2")
    run.read_until(word)
    run.process.send_signal(number)
    _, err = run.process.communicate(timeout=END_TIMEOUT_S)
    assert run.process.returncode == status
    assert err.endswith("stopping the nodes and cleaning up …\n")
    assert "Traceback" not in err
    assert run.left_behind() == []
