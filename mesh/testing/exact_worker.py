"""The process in which `exactness` runs interpreters, `python -m mesh.testing.exact_worker FOLDER`.

It reads a case as JSON, writes slices into the folder, and says in JSON lines which way it is at
and what differs.
"""

import importlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mesh.errors import ModelError
from mesh.model import Model, read_model
from mesh.testing.plausible import plausible_inputs
from mesh.testing.staged import Array, Load, Run, Staged, Whole


class Interpreters:
    """Loads files by path, as a node does, and on one thread."""

    def __init__(self, folder: Path, package: str, *, use_xnnpack: bool) -> None:
        self._path = folder / "slice.tflite"
        self._module = importlib.import_module(package)
        kinds = self._module.OpResolverType
        self._resolver = kinds.AUTO if use_xnnpack else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES

    def load(self, pieces: Sequence[bytes | memoryview]) -> Run:
        """Raises: ValueError, RuntimeError or SystemError when the interpreter refuses the file."""
        self._path.unlink(missing_ok=True)  # an interpreter before may have it mapped
        with self._path.open("wb") as file:
            file.writelines(pieces)
        interpreter = self._module.Interpreter(
            model_path=str(self._path), num_threads=1, experimental_op_resolver_type=self._resolver
        )
        interpreter.allocate_tensors()
        inputs = [details["index"] for details in interpreter.get_input_details()]
        outputs = [details["index"] for details in interpreter.get_output_details()]

        def run(contents: Sequence[Array]) -> list[Array]:
            for index, content in zip(inputs, contents, strict=True):
                interpreter.set_tensor(index, content)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in outputs]

        return run


def judge(
    file: bytes, ways: Sequence[Sequence[int]], steps: int, load: Load
) -> Iterator[dict[str, Any]]:
    """What there is to say about each way."""
    model = read_model(file)
    given = [plausible_inputs(model, seed) for seed in range(steps)]
    try:
        whole = Whole(model, file, load)
        expected = [whole.step(inputs) for inputs in given]
    except (ValueError, RuntimeError, SystemError) as error:
        yield {"refusal": str(error)}
        return
    for at, way in enumerate(ways):
        yield {"way": at}
        try:
            problems = list(_differences(model, Staged(model, way, load), given, expected))
        except (ValueError, RuntimeError, SystemError, ModelError) as error:
            problems = [str(error)]
        yield from ({"problem": f"cut before {tuple(way)}: {problem}"} for problem in problems)


def _differences(
    model: Model, staged: Staged, given: Sequence[list[Array]], expected: Sequence[list[Array]]
) -> Iterator[str]:
    for step, (inputs, wholes) in enumerate(zip(given, expected, strict=True)):
        outputs = staged.step(inputs)
        for spec, whole, found in zip(model.outputs, wholes, outputs, strict=True):
            if whole.tobytes() != found.tobytes():
                gap = np.abs(whole.astype(np.float64) - found.astype(np.float64)).max()
                yield f"step {step}: output {spec.name!r} differs by up to {gap:g}"


def main(arguments: Sequence[str]) -> None:
    (folder,) = arguments
    job = json.load(sys.stdin)
    # What native code prints must not come between the lines.
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    interpreters = Interpreters(Path(folder), job["package"], use_xnnpack=job["use_xnnpack"])
    file = Path(job["path"]).read_bytes()
    for line in judge(file, job["ways"], job["steps"], interpreters.load):
        answers.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
