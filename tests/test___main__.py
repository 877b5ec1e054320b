"""`python -m mesh` is `mesh`, and quick where nothing of the mesh is needed."""

import subprocess
import sys

import mesh


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "mesh", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"mesh {mesh.__version__}\n"


def test_help_needs_neither_runtime_nor_transport() -> None:
    code = (
        "import sys; from mesh.cli.main import main; main(['--help']); "
        "print(sorted({'ai_edge_litert', 'paho', 'zeroconf', 'numpy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"
