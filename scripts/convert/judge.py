"""Asks a .tflite what PyTorch was asked, and says how far apart the answers are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from network import Array, Arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """Over all probes and outputs: the largest difference, and the smallest cosine of two answers."""

    largest: float
    cosine: float


def answers(path: Path, probes: Sequence[Arrays]) -> list[Arrays]:
    """What the file says to each probe; numbers of quantised ends as the real ones they stand for."""
    runner = Interpreter(str(path), num_threads=1).get_signature_runner()
    takes, gives = runner.get_input_details(), runner.get_output_details()
    found: list[Arrays] = []
    for probe in probes:
        outputs = runner(**{name: _quantized(array, takes[name]) for name, array in probe.items()})
        found.append({name: _real(array, gives[name]) for name, array in outputs.items()})
    return found


def distance(ours: Sequence[Arrays], theirs: Sequence[Arrays]) -> Distance:
    pairs = [
        (one[name].astype(np.float64).ravel(), other[name].astype(np.float64).ravel())
        for one, other in zip(ours, theirs, strict=True)
        for name in other
    ]
    return Distance(
        largest=max(float(np.abs(one - other).max()) for one, other in pairs),
        cosine=min(_cosine(one, other) for one, other in pairs),
    )


def _cosine(one: Array, other: Array) -> float:
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / lengths) if lengths else float((one == other).all())


def _quantized(array: Array, details: dict[str, Any]) -> Array:
    scale, zero_point = details["quantization"]
    if not scale:
        return array
    bounds = np.iinfo(details["dtype"])
    steps = np.round(array / scale) + zero_point
    quanta: Array = np.clip(steps, bounds.min, bounds.max).astype(details["dtype"])
    return quanta


def _real(array: Array, details: dict[str, Any]) -> Array:
    scale, zero_point = details["quantization"]
    return (array.astype(np.float32) - zero_point) * scale if scale else array
