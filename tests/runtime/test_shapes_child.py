"""What the process answers, asked in this one; what it may do is the parent's test."""

import json
import socket
import subprocess
import sys
from pathlib import Path

from mesh.runtime.detect import choose_package, installed_version
from mesh.testing.models import tiny_dense


def test_one_question_gets_one_answer(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(tiny_dense())
    request = {
        "package": choose_package("auto", installed_version).value,
        "path": str(path),
        "inputs": [[0, [1, 8]]],
        "tensors": 99,
        "contents_of": [],
        "memory_bytes": None,
    }
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            child = subprocess.Popen(
                [sys.executable, "-m", "mesh.runtime.shapes_child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stderr=subprocess.DEVNULL,
            )
        ours.sendall(json.dumps(request).encode())
        ours.shutdown(socket.SHUT_WR)
        reply = json.loads(ours.makefile().read())

    assert child.wait(30) == 0
    assert reply["shapes"][0] == [1, 8]
    assert reply["shapes"][98] is None
    assert reply["contents"] == []
