import os
import subprocess
import sys

from mesh.transport import exec_child

BASE = [sys.executable, "-I", "-S", exec_child.__file__]


def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*BASE, *arguments], capture_output=True, timeout=20, check=False)


def test_it_becomes_the_program() -> None:
    done = run(str(os.getpid()), "", "/bin/echo", "a b", "c")
    assert (done.returncode, done.stdout) == (0, b"a b c\n")


def test_it_starts_nothing_when_the_parent_is_another() -> None:
    done = run("1", "", "/bin/echo", "orphan")
    assert (done.returncode, done.stdout) == (1, b"")
