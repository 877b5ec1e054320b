"""A process that holds its parent's life line ends with it."""

import signal
import subprocess
import sys

LONG_S = 60.0

HOLDS_THE_INTERPRETER_LOCK = """
import ctypes, mesh.runtime.life_line as life_line
life_line.end_with_parent()
print("armed", flush=True)
ctypes.PyDLL(None).pause()  # until a signal comes
"""


def python(code: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_it_ends_with_its_parent_even_inside_native_code() -> None:
    with python(HOLDS_THE_INTERPRETER_LOCK) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"armed\n"
        process.stdin.close()
        assert process.wait(LONG_S) == -signal.SIGIO


def test_it_does_not_start_when_its_parent_is_gone_already() -> None:
    with python(
        "import mesh.runtime.life_line as life_line\nlife_line.end_with_parent()"
    ) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(LONG_S) in {0, -signal.SIGIO}
