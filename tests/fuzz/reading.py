"""Reads and cuts one hostile file as a node would, within bounds of memory and time.

Linux holds the memory bound (RLIMIT_DATA): what would pass it fails here with a MemoryError.
"""

import contextlib
import resource
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mesh.errors import ModelError
from mesh.model import (
    LayerRange,
    Model,
    TensorSpec,
    cut_points,
    read_model,
    slice_model,
    stage_interface,
    stage_memory,
    uncuttable_reason,
)
from mesh.model.metadata import read_description
from mesh.model.rewrite import read_draft

MAX_READ_S = 1.0
"""Processor time to read one file; its cuts and slices are bounded alike."""
MEMORY_PER_FILE_BYTE = 3
MEMORY_BYTES = 64 << 20
"""A file of n bytes is read and cut within MEMORY_PER_FILE_BYTE · n + MEMORY_BYTES."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A file to load: the whole model as it came, or a slice of it."""

    name: str
    content: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What came of a file: `refusal` or `pieces`; `violations` are what must never happen."""

    refusal: str = ""
    pieces: tuple[Piece, ...] = ()
    read_s: float = 0.0
    violations: tuple[str, ...] = ()


def read_hostile(content: bytes, read: Callable[[bytes], Model] = read_model) -> Reading:
    """Read the file, list its cuts, and cut it in two. Only ModelError may come of it."""
    started_s = time.process_time()
    read_s = 0.0
    try:
        with memory_bound(MEMORY_PER_FILE_BYTE * len(content) + MEMORY_BYTES):
            try:
                model = read(content)
            finally:
                read_s = time.process_time() - started_s
            pieces = (whole(content, model), *halves(model))
            read_aside(content, model)
    except ModelError as error:
        violations = read_again(content)
        reading = Reading(
            refusal=f"{type(error).__name__}: {error}", read_s=read_s, violations=violations
        )
    except MemoryError:
        reading = Reading(read_s=read_s, violations=("the reader passed its memory bound",))
    except Exception:  # noqa: BLE001 - this is what the campaign is looking for
        reading = Reading(read_s=read_s, violations=(failure("reader or slicer"),))
    else:
        reading = Reading(pieces=pieces, read_s=read_s)
    if read_s <= MAX_READ_S:
        return reading
    slow = f"reading took {read_s:.1f} s of processor time"
    return replace(reading, violations=(*reading.violations, slow))


def read_aside(content: bytes, model: Model) -> None:
    """What `mesh model add` reads besides: labels, in files packed behind the model."""
    with contextlib.suppress(ModelError):
        read_description(model, memoryview(content))


def read_again(content: bytes) -> tuple[str, ...]:
    """A file that was refused may have open shapes: `mesh model add` reads it as a draft."""
    try:
        with memory_bound(MEMORY_PER_FILE_BYTE * len(content) + MEMORY_BYTES):
            read_draft(content)
    except ModelError:
        return ()
    except Exception:  # noqa: BLE001 - this is what the campaign is looking for
        return (failure("draft"),)
    return ()


def whole(content: bytes, model: Model) -> Piece:
    stage_interface(model, LayerRange(start=0, stop=len(model.layers)))
    return Piece(
        name="whole", content=content, inputs=model.graph_inputs, outputs=model.graph_outputs
    )


def halves(model: Model) -> tuple[Piece, ...]:
    """Two slices that make up the model; none where it cannot be cut."""
    cuts = cut_points(model)
    for cut in cuts:
        stage_interface(model, LayerRange(start=0, stop=cut.layer))
    if not cuts:
        if not uncuttable_reason(model):
            raise ValueError("no cut, and no reason why")
        return ()
    middle = cuts[len(cuts) // 2].layer
    first = LayerRange(start=0, stop=middle)
    second = LayerRange(start=middle, stop=len(model.layers))
    return _half(model, first, "first half"), _half(model, second, "second half")


def _half(model: Model, layers: LayerRange, name: str) -> Piece:
    content = slice_model(model, layers)
    interface = stage_interface(model, layers)
    if stage_memory(model, layers).total_bytes < 0:
        raise ValueError("a negative size")
    if not interface.consumed:
        # A stage that reads none of what arrives is no model of its own to the reader.
        return Piece(name=name, content=content, inputs=(), outputs=interface.produced)
    if len(read_model(content).inputs) != len(interface.consumed):
        raise ValueError("a slice that reads otherwise than it was cut")
    return Piece(name=name, content=content, inputs=interface.consumed, outputs=interface.produced)


@contextlib.contextmanager
def memory_bound(extra_bytes: int) -> Iterator[None]:
    """Let this process take at most so many bytes more of private memory, until the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data_bytes() + extra_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int:
    """proc(5), statm: the sixth figure is data and stack, in pages."""
    figures = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(figures[5]) * resource.getpagesize()


def failure(where: str) -> str:
    """The error under way in two lines: what, and the innermost place of this project."""
    text = traceback.format_exc().strip().splitlines()
    places = [line.strip() for line in text if line.lstrip().startswith("File ")]
    return f"{where}: {text[-1]} at {places[-1] if places else 'an unknown place'}"
