"""Loads and runs hostile pieces in real interpreter processes, and says what became of these."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from mesh.errors import ChildDiedError, ChildHungError, InvokeError, UnsupportedModelError
from mesh.runtime.golden import golden_inputs
from mesh.runtime.port import LoadedSlice, Runtime
from tests.fuzz.reading import Piece, failure

LOAD_DEADLINE_S = 10.0
INVOKE_DEADLINE_S = 5.0
GRACE_S = 1.0
"""How long after its deadline a call may return."""
CHILD_MEMORY_BYTES = 1 << 30
"""Of each child: a mutant's tensors may be as large as the reader allows."""
RUNS = 2
MAX_DRAWN_BYTES = 64 << 20
"""Of a piece's inputs: larger ones are loaded, not run, for drawing them takes too long."""


class Fate(Enum):
    """What became of a mutant."""

    REFUSED_BY_READER = "refused by reader"
    READ = "read, not loaded"
    RAN = "ran"
    REFUSED_BY_RUNTIME = "refused by runtime"
    FAILED = "failed run"
    HUNG = "child hung"
    DIED = "child died"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one piece; `said` is the error's sentence."""

    fate: Fate
    said: str = ""
    violations: tuple[str, ...] = ()


def try_piece(piece: Piece, runtime: Runtime, path: Path) -> Outcome:
    """Write the piece to the path, load it and run it; only the runtime's own errors may come."""
    path.write_bytes(piece.content)
    late: list[str] = []
    try:
        with _punctual(f"loading {piece.name}", LOAD_DEADLINE_S, late):
            loaded = runtime.load(
                path,
                inputs=piece.inputs,
                outputs=piece.outputs,
                threads=1,
                timeout_s=LOAD_DEADLINE_S,
            )
        try:
            _run(piece, loaded, late)
        finally:
            loaded.close()
    except Exception as error:  # noqa: BLE001 - telling them apart is what this is for
        fate = _FATES.get(type(error))
        if fate is None:
            late.append(failure(f"runtime, {piece.name}"))
        said = f"{piece.name}: {error}"
        return Outcome(fate=fate or Fate.FAILED, said=said, violations=tuple(late))
    return Outcome(fate=Fate.RAN, violations=tuple(late))


def _run(piece: Piece, loaded: LoadedSlice, late: list[str]) -> None:
    if sum(spec.size_bytes for spec in piece.inputs) > MAX_DRAWN_BYTES:
        return
    for seed in range(RUNS):
        inputs = golden_inputs(piece.inputs, seed)
        with _punctual(f"running {piece.name}", INVOKE_DEADLINE_S, late):
            loaded.invoke(inputs, timeout_s=INVOKE_DEADLINE_S)


_FATES: Mapping[type[Exception], Fate] = {
    UnsupportedModelError: Fate.REFUSED_BY_RUNTIME,
    InvokeError: Fate.FAILED,
    ChildHungError: Fate.HUNG,
    ChildDiedError: Fate.DIED,
}


@contextlib.contextmanager
def _punctual(doing: str, deadline_s: float, late: list[str]) -> Iterator[None]:
    started_s = time.monotonic()
    try:
        yield
    finally:
        took_s = time.monotonic() - started_s
        if took_s > deadline_s + GRACE_S:
            late.append(f"{doing} took {took_s:.1f} s, its deadline was {deadline_s:g} s")
