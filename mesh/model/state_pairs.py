"""Reads and writes which inputs of a model are its own earlier outputs: its explicit state.

The declaration is a metadata entry of the .tflite itself, so that the content id covers it.
"""

import json
from collections.abc import Sequence

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.tensor import StatePair, TensorSpec

STATE_METADATA = "edge_mesh.state"
"""Name of the entry; its content is a JSON list of [input name, output name]."""

MAX_CONTENT_BYTES = 256 << 10
MAX_PAIRS = 256


def decode_pairs(content: memoryview) -> tuple[tuple[str, str], ...]:
    """The names declared in the entry's content. Raises: InvalidModelError."""
    if len(content) > MAX_CONTENT_BYTES:
        raise InvalidModelError(f"the metadata {STATE_METADATA!r} is longer than the limit")
    try:
        document = json.loads(bytes(content))
    except (ValueError, RecursionError) as error:
        raise InvalidModelError(f"the metadata {STATE_METADATA!r} is no JSON") from error
    if not isinstance(document, list) or len(document) > MAX_PAIRS:
        raise InvalidModelError(f"the metadata {STATE_METADATA!r} is no list of name pairs")
    return tuple(_pair(entry) for entry in document)


def _pair(entry: object) -> tuple[str, str]:
    match entry:
        case [str() as given, str() as kept]:
            return given, kept
    raise InvalidModelError(f"the metadata {STATE_METADATA!r} is no list of name pairs")


def encode_pairs(names: Sequence[tuple[str, str]]) -> bytes:
    return json.dumps([list(pair) for pair in names], ensure_ascii=False).encode()


def match_pairs(
    names: Sequence[tuple[str, str]], inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> tuple[StatePair, ...]:
    """The named inputs and outputs as pairs.

    Raises: UnsupportedModelError for a name that the model lacks, one named twice, or two tensors
    that differ in type or shape.
    """
    for side in zip(*names, strict=True):
        twice = next((name for name in side if side.count(name) > 1), None)
        if twice is not None:
            raise UnsupportedModelError(f"{twice!r} is named in two pairs of state; name it in one")
    return tuple(
        StatePair(input=_find("input", first, inputs), output=_find("output", second, outputs))
        for first, second in names
    )


def _find(what: str, name: str, specs: Sequence[TensorSpec]) -> TensorSpec:
    for spec in specs:
        if spec.name == name:
            return spec
    known = ", ".join(spec.name for spec in specs)
    raise UnsupportedModelError(
        f"the state names {what} {name!r:.260}, which the model does not have; its {what}s: {known:.500}"
    )
