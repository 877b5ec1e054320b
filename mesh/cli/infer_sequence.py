"""The steps that `mesh infer --sequence` takes: one after another, as one session."""

import secrets
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np

from mesh.cli.infer_request import Arrays
from mesh.cli.session import Asker
from mesh.client import Answer
from mesh.errors import UsageError
from mesh.wire.infer import SessionUse


class SequenceRequest:
    """Each `submit` takes the next step; the session begins with the first and ends with the last."""

    def __init__(
        self, steps: Sequence[Arrays], *, outputs: tuple[str, ...] | None, timeout_s: float
    ) -> None:
        self._steps = steps
        self._outputs = outputs
        self._timeout_s = timeout_s
        self._name = secrets.token_hex(8)
        self._answers: list[Future[Answer]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def submit(self, asker: Asker, model_name: str) -> "Future[Answer]":
        number = len(self._answers)
        use = SessionUse(name=self._name, starts=number == 0, ends=number == len(self._steps) - 1)
        answer = asker.infer_soon(
            model_name,
            self._steps[number],
            outputs=self._outputs,
            timeout_s=self._timeout_s,
            session=use,
        )
        self._answers.append(answer)
        return answer

    def answer(self) -> Answer:
        """The answers to all steps as one: each output with the steps as its first axis.

        Classes are those of one step, so there are none.
        """
        answers = [future.result() for future in self._answers]
        return replace(
            answers[-1],
            outputs={
                name: np.stack([one.outputs[name] for one in answers])
                for name in answers[-1].outputs
            },
            classes={},
        )


def split_steps(arrays: Arrays, path: Path) -> list[Arrays]:
    """Arrays whose first axis is the steps, as one set of arrays for each step. Raises: UsageError."""
    lengths = {array.shape[0] if array.ndim else 0 for array in arrays.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise UsageError(
            f"{path} is no sequence: the first axis of each array must be the steps, as many in all"
        )
    return [{name: array[i] for name, array in arrays.items()} for i in range(lengths.pop())]
