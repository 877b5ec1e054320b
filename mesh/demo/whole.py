"""The whole model in one process on this machine: what every answer of the mesh is held against."""

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mesh.model import LayerRange, read_model, stage_interface
from mesh.runtime.detect import detect_runtime
from mesh.runtime.whole import WholeRun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

TIMEOUT_S = 60.0


class WholeModel:
    """One interpreter with the uncut file. Raises: MeshError where it cannot be run."""

    def __init__(self, file: Path, *, threads: int = 1) -> None:
        model = self._model = read_model(file.read_bytes())
        self.inputs = model.inputs
        self.outputs = model.outputs
        self._whole = WholeRun(detect_runtime(), file, model, threads=threads, timeout_s=TIMEOUT_S)
        self._is_fresh = True

    def __enter__(self) -> "Self":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, inputs: "Sequence[bytes]") -> "Mapping[str, bytes]":
        """Outputs by name, as raw bytes; `inputs` in the model's order. No state is kept."""
        self.restart()
        return self.step(inputs)

    def restart(self) -> None:
        """Begin a session: the next step is its first."""
        if not self._is_fresh:
            self._whole.restart()
        self._is_fresh = True

    def step(self, inputs: "Sequence[bytes]") -> "Mapping[str, bytes]":
        """As `run`, on the state that the step before left."""
        self._is_fresh = False
        outputs = self._whole.step(inputs)
        return {spec.name: data for spec, data in zip(self.outputs, outputs, strict=True)}

    def answer(self, inputs: "Mapping[str, npt.NDArray[Any]]") -> "Mapping[str, bytes]":
        """As `run`, with inputs by name, as arrays."""
        return self.run([inputs[spec.name].tobytes() for spec in self.inputs])

    def arrays(self, inputs: "Sequence[bytes]") -> "dict[str, npt.NDArray[Any]]":
        """The same inputs by name, as arrays."""
        return {
            spec.name: np.frombuffer(data, spec.data_type.numpy_name).reshape(spec.shape)
            for spec, data in zip(self.inputs, inputs, strict=True)
        }

    def received_bytes(self, layers: LayerRange) -> int:
        """What a stage of these layers takes in for one request."""
        return sum(spec.size_bytes for spec in stage_interface(self._model, layers).received)

    def close(self) -> None:
        self._whole.close()
