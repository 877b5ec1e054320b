"""Makes the file that is uploaded from the one that was given: shapes fixed, state declared."""

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh.device.board import Board
from mesh.errors import InvalidModelError, UsageError
from mesh.model import Limits
from mesh.model.rewrite import (
    Draft,
    Pieces,
    Shape,
    probe_pieces,
    read_draft,
    with_shapes,
    with_state,
)
from mesh.runtime.shapes import infer_shapes

SHAPES_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """What is to be fixed in the file: input shapes by name, state as (input, output) names."""

    shapes: Mapping[str, Shape]
    state: Sequence[tuple[str, str]]


UNCHANGED = Derivation(shapes={}, state=())


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedFile:
    """The file to upload, its content, and what was changed, as sentences."""

    path: Path
    content: memoryview
    notes: tuple[str, ...]


def derive(path: Path, wish: Derivation, *, folder: Path, limits: Limits) -> DerivedFile:
    """The file itself where nothing is to be changed, else a new one in `folder`.

    Raises: InvalidModelError, UnsupportedModelError, UsageError, RuntimeFailureError, DeviceError.
    """
    derived = DerivedFile(path=path, content=map_file(path), notes=())
    draft = read_draft(derived.content, limits)
    if wish.shapes or draft.needs_fixing:
        derived = _fixed(derived, draft, wish.shapes, folder)
    if wish.state:
        pieces = with_state(derived.content, wish.state, limits)
        first, *others = wish.state
        listed = ", ".join(
            (f"{first[0]} takes over {first[1]}", *(f"{one} {other}" for one, other in others))
        )
        note = f"it keeps state between requests: {listed}"
        derived = _written(derived, pieces, folder / "state", note)
    return derived


def map_file(path: Path) -> memoryview:
    """The file's content, on the disk's pages. Raises: UsageError, InvalidModelError."""
    try:
        with path.open("rb") as file:
            # Not closed by hand: the model, and the trace of an error, hold views of it.
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # an empty file cannot be mapped
        raise InvalidModelError("the file is empty, so it is no .tflite file") from error


def _fixed(
    derived: DerivedFile, draft: Draft, wanted: Mapping[str, Shape], folder: Path
) -> DerivedFile:
    chosen = draft.choose(wanted)
    probe = _written(derived, probe_pieces(draft), folder / "probe", None)
    inferred = infer_shapes(
        probe.path,
        chosen,
        tensors=len(draft.tensors),
        contents_of=draft.shape_tensors,
        timeout_s=SHAPES_TIMEOUT_S,
        memory_bytes=Board().memory_available_bytes() or None,
    )
    pieces = with_shapes(draft, inferred.shapes, inferred.contents)
    listed = ", ".join(f"{one.name} {list(chosen[one.index])}" for one in draft.inputs)
    return _written(
        derived, pieces, folder / "fixed", f"its shapes are fixed for the input {listed}"
    )


def _written(derived: DerivedFile, pieces: Pieces, folder: Path, note: str | None) -> DerivedFile:
    path = folder / derived.path.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.writelines(pieces)
    except OSError as error:
        raise UsageError(
            f"the changed file cannot be written to {folder}: {error.strerror or error}"
        ) from error
    notes = derived.notes if note is None else (*derived.notes, note)
    return DerivedFile(path=path, content=map_file(path), notes=notes)


def parse_shapes(texts: Sequence[str]) -> dict[str, Shape]:
    """From NAME=1,48,48,3. Raises: UsageError."""
    shapes: dict[str, Shape] = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        parts = sizes.replace("x", ",").split(",")
        if not name or not all(part.strip().isdecimal() and len(part) <= 10 for part in parts):
            raise UsageError(f"--input-shape {text!r} is no shape: write NAME=1,48,48,3")
        if name in shapes:
            raise UsageError(f"--input-shape names {name!r} twice: give it one shape")
        shapes[name] = tuple(int(part) for part in parts)
    return shapes


def parse_state(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """From INPUT=OUTPUT. Raises: UsageError."""
    pairs = []
    for text in texts:
        given, _, kept = text.partition("=")
        if not given or not kept:
            raise UsageError(f"--state {text!r} is no pair: write INPUT=OUTPUT, their names")
        pairs.append((given, kept))
    return tuple(pairs)
