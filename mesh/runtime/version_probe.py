"""Asks a runtime which operator versions it knows, in a process of its own: `python -m …version_probe MODULE`.

An interpreter looks up every operator code of a file before anything else, and refuses the file
at the first that it does not know. So a file with one code, no tensor and no operator tells of one
version, in about 0.2 ms.
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import mesh
from mesh.errors import DeviceError
from mesh.model.encoder import encode
from mesh.model.schema import OPERATOR_NAMES
from mesh.model.table import make_table
from mesh.runtime.control import Package
from mesh.runtime.operator_versions import MAX_VERSION, OperatorVersions, Versions
from mesh.runtime.process import last_words

TIMEOUT_S = 60.0
MAX_MISSES = 3
"""Versions are numbered without gaps; BROADCAST_TO begins at 2."""
_MAX_BYTES = 64 << 10
_NEWEST_OLD_CODE = 127
"""schema.fbs, OperatorCode: codes above it exist in the newer field only."""

Knows = Callable[[int, int], bool]
"""Whether a runtime knows an operator (its number in schema.fbs) in a version."""


def operator_versions(package: Package, version: str, folder: Path | None) -> OperatorVersions:
    """What this version of the package knows: as found out before and kept in `folder`, or asked now.

    Raises: DeviceError when the package cannot be asked.
    """
    file = None if folder is None else folder / f"operators-{package.name.lower()}-{version}.json"
    kept = None if file is None else _read(file)
    if kept is not None:
        return kept
    document = ask(package)
    if file is not None:
        with contextlib.suppress(OSError):  # a full disk costs a second at the next start, no more
            _write(file, document)
    return _parse(document)


def ask(package: Package) -> str:
    """What the package knows, as JSON. Raises: DeviceError."""
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "mesh.runtime.version_probe", package.value],
            cwd=Path(mesh.__file__).parent.parent,  # as in `mesh.runtime.process`
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise DeviceError(f"{package.value} cannot be asked for its operators: {error}") from error
    answer = ended.stdout[:_MAX_BYTES].decode("utf-8", "replace")
    with contextlib.suppress(ValueError):
        if ended.returncode == 0 and _parse(answer).known:
            return answer
    why = last_words(ended.stderr) or f"it ended with exit status {ended.returncode}"
    raise DeviceError(f"{package.value} cannot be used: {why}; install it again")


def _parse(document: str) -> OperatorVersions:
    """Raises: ValueError."""
    raw = json.loads(document)
    try:
        return OperatorVersions({name: (int(a), int(b)) for name, (a, b) in raw.items()})
    except (AttributeError, TypeError) as error:
        raise ValueError(f"no table of versions: {error}") from error


def _read(file: Path) -> OperatorVersions | None:
    try:
        with file.open(encoding="utf-8") as stream:
            return _parse(stream.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None


def _write(file: Path, document: str) -> None:
    """Atomically: other nodes may share the folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(document)
    Path(name).replace(file)


def probe(knows: Knows) -> dict[str, Versions]:
    """The versions of each operator that is known at all."""
    found = ((name, _versions(number, knows)) for number, name in enumerate(OPERATOR_NAMES))
    return {name: versions for name, versions in found if versions is not None}


def _versions(number: int, knows: Knows) -> Versions | None:
    first, last = 0, 0
    for version in range(1, MAX_VERSION + 1):
        if knows(number, version):
            first, last = first or version, version
        elif version - last >= MAX_MISSES or last:
            break
    return (first, last) if last else None


def code_file(number: int, version: int) -> bytes:
    """A model of nothing but one operator code."""
    code = make_table(
        "OperatorCode",
        deprecated_builtin_code=min(number, _NEWEST_OLD_CODE),
        builtin_code=number,
        version=version,
    )
    return encode(
        make_table(
            "Model",
            version=3,
            operator_codes=[code],
            subgraphs=[make_table("SubGraph", tensors=[], inputs=[], outputs=[], operators=[])],
            buffers=[make_table("Buffer")],
        )
    )


def main(module_name: str) -> None:
    """In the process of its own: print what the module's interpreter knows."""
    interpreter = importlib.import_module(module_name).Interpreter

    def knows(number: int, version: int) -> bool:
        try:
            interpreter(model_content=code_file(number, version), num_threads=1)
        except (RuntimeError, ValueError):
            return False
        return True

    sys.stdout.write(json.dumps(probe(knows)))


if __name__ == "__main__":
    main(sys.argv[1])
