"""Tries one mutant: reader, slicer, then real interpreter processes; nothing of it may be fatal."""

import random
from dataclasses import dataclass
from pathlib import Path

from mesh.runtime.port import Runtime
from tests.fuzz.children import Fate, Outcome, try_piece
from tests.fuzz.mutants import Mutant
from tests.fuzz.reading import Piece, read_hostile

_FROM_BAD_TO_GOOD = (Fate.DIED, Fate.HUNG, Fate.FAILED, Fate.REFUSED_BY_RUNTIME, Fate.RAN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a mutant: the worst of its pieces' fates, and what must never happen."""

    model: str
    seed: int
    kind: str
    changes: str
    fate: Fate
    said: str = ""
    read_s: float = 0.0
    violations: tuple[str, ...] = ()


def try_mutant(mutant: Mutant, runtime: Runtime, folder: Path, *, pieces: int) -> Verdict:
    """Read and cut it, then load and run so many of: the whole and both halves."""
    descriptors = _descriptors()
    reading = read_hostile(mutant.content)
    outcomes = [
        try_piece(piece, runtime, folder / "piece.tflite")
        for piece in _chosen(reading.pieces, mutant.seed, pieces)
    ]
    unloaded = Fate.REFUSED_BY_READER if reading.refusal else Fate.READ
    worst = _worst(outcomes) or Outcome(fate=unloaded, said=reading.refusal)
    violations = [*reading.violations, *(v for one in outcomes for v in one.violations)]
    if _descriptors() != descriptors:
        violations.append(f"{_descriptors() - descriptors:+d} file descriptors are open")
    return Verdict(
        model=mutant.model,
        seed=mutant.seed,
        kind=mutant.kind,
        changes=mutant.changes,
        fate=worst.fate,
        said=worst.said,
        read_s=reading.read_s,
        violations=tuple(violations),
    )


def _chosen(pieces: tuple[Piece, ...], seed: int, count: int) -> tuple[Piece, ...]:
    """Fewer than there are begin at another one from mutant to mutant of a model."""
    start = random.Random(seed).randrange(len(pieces)) if pieces else 0
    return (pieces[start:] + pieces[:start])[:count]


def _worst(outcomes: list[Outcome]) -> Outcome | None:
    return min(outcomes, key=lambda one: _FROM_BAD_TO_GOOD.index(one.fate), default=None)


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
