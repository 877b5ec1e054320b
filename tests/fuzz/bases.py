"""The sound models that mutants are made of: generated ones, and trained ones where they are at hand."""

from collections.abc import Callable, Mapping
from pathlib import Path

from mesh.demo.samples import fetch_sample
from mesh.testing.graph_models import optional_inputs
from mesh.testing.models import residual_cnn, tiny_dense
from mesh.testing.sequence_models import (
    gated_cell,
    running_total,
    transformer,
    variable_filter,
)

GENERATED: Mapping[str, Callable[[], bytes]] = {
    "cnn-float32": lambda: residual_cnn("float32"),
    "cnn-int8": lambda: residual_cnn("int8"),
    "cnn-fp16": lambda: residual_cnn("fp16"),
    "dense": tiny_dense,
    "transformer": transformer,
    "optional-inputs": optional_inputs,
    "explicit-state": gated_cell,
    "variable": variable_filter,
    "resource": running_total,
}
SAMPLES: Mapping[str, str] = {
    "embedding": "embedding_model",
    "face": "face_detection_short_range",
}
"""Names here by names in mesh/demo/samples.toml."""

DEFAULT_SAMPLES_FOLDER = Path(__file__).parents[2] / ".venvs" / "samples"


def load_bases(names: tuple[str, ...], folder: Path) -> dict[str, bytes]:
    """The models' files by name; samples are fetched into the folder when they are not there.

    Raises: StoreError, KeyError for a name that is none.
    """
    return {
        name: GENERATED[name]()
        if name in GENERATED
        else fetch_sample(SAMPLES[name], folder).read_bytes()
        for name in names
    }


def all_names() -> tuple[str, ...]:
    return (*GENERATED, *SAMPLES)
