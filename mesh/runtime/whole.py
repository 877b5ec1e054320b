"""Runs an uncut file in one interpreter, its state fed by hand: what answers of stages are held against."""

from collections.abc import Sequence
from pathlib import Path

from mesh.model.footprint import stage_memory
from mesh.model.model import Model
from mesh.model.tensor import LayerRange
from mesh.runtime.port import LoadedSlice, Runtime


class WholeRun:
    """One session with a file as it is. Every method raises what the runtime raises."""

    def __init__(
        self, runtime: Runtime, path: Path, model: Model, *, threads: int, timeout_s: float
    ) -> None:
        self._runtime = runtime
        self._path = path
        self._model = model
        self._threads = threads
        self._timeout_s = timeout_s
        self._loaded = self._load()
        self._state: dict[int, bytes] = {}

    def restart(self) -> None:
        """Begin a session anew: state is zeros, and what the interpreter remembers is gone."""
        self._state = {}
        if self._model.keeps_hidden_state:
            self._loaded.close()
            self._loaded = self._load()

    def step(self, inputs: Sequence[bytes]) -> tuple[bytes, ...]:
        """Run once more on raw tensors in the model's order; the outputs in its order."""
        model = self._model
        given = dict(zip((spec.index for spec in model.inputs), inputs, strict=True)) | self._state
        run = self._loaded.invoke(
            [given.get(spec.index, bytes(spec.size_bytes)) for spec in model.graph_inputs],
            timeout_s=self._timeout_s,
        )
        made = dict(zip((spec.index for spec in model.graph_outputs), run.outputs, strict=True))
        self._state = {pair.input.index: made[pair.output.index] for pair in model.state}
        return tuple(made[spec.index] for spec in model.outputs)

    def close(self) -> None:
        self._loaded.close()

    def _load(self) -> LoadedSlice:
        everything = LayerRange(start=0, stop=len(self._model.layers))
        runtime = self._runtime.info().name
        predicted = stage_memory(self._model, everything, runtime=runtime)
        return self._runtime.load(
            self._path,
            inputs=self._model.graph_inputs,
            outputs=self._model.graph_outputs,
            threads=self._threads,
            timeout_s=self._timeout_s,
            memory_bytes=predicted.total_bytes,
        )
