"""How the interpreter's process ends; what it computes is in test_port.py."""

import os
import signal
import subprocess
import sys
from typing import Any

import psutil
import pytest

LONG_S = 60.0

LOADS_AND_WAITS = """
import sys
from pathlib import Path
from mesh.model.reader import read_model
from mesh.runtime.detect import detect_runtime
path = Path(sys.argv[1])
model = read_model(path.read_bytes())
loaded = detect_runtime().load(
    path, inputs=model.inputs, outputs=model.outputs, threads=1, timeout_s=60
)
print(loaded.pid, flush=True)
sys.stdin.read()
"""


def python(code: str, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_a_killed_daemon_leaves_no_child(subtraction: Any) -> None:
    with python(LOADS_AND_WAITS, str(subtraction.path)) as daemon:
        assert daemon.stdout is not None
        child = psutil.Process(int(daemon.stdout.readline()))
        daemon.kill()
        # psutil cannot reap another's child, but init (or whoever adopts orphans) does.
        gone, _ = psutil.wait_procs([child], timeout=LONG_S)
        assert gone == [child] or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_leaves_the_end_to_the_daemon(
    number: signal.Signals, subtraction: Any, load: Any
) -> None:
    loaded = load(subtraction)
    os.kill(loaded.pid, number)
    assert loaded.invoke([bytes(20)] * 2, timeout_s=LONG_S).compute_s >= 0
