"""Reads from TFLITE_METADATA what its converter said of a model: class names, and how pixels are scaled.

Whether it is followed is decided where a model is added.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from mesh.model.associated_files import find_archive
from mesh.model.decoder import decode_metadata
from mesh.model.limits import Limits
from mesh.model.model import TFLITE_METADATA, Model
from mesh.model.reader import metadata_content
from mesh.model.table import Table
from mesh.model.tensor import TensorSpec

# metadata_schema.fbs, AssociatedFileType: names along an axis, or of the values themselves.
_LABEL_TYPES = (2, 3)
_MAX_LABELLED = 16  # outputs whose labels are read: unpacking them takes time


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """How a pixel (0 to 255) becomes a value, by channel or one for all: (pixel − mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def is_uniform(self) -> bool:
        """Whether all channels are treated alike."""
        return len(set(self.mean)) == len(set(self.std)) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the metadata says: `labels` in order of the classes, empty where it names none."""

    labels: tuple[str, ...] = ()
    normalisation: Normalisation | None = None


def read_description(model: Model, file: memoryview, limits: Limits | None = None) -> Description:
    """`file` is the one that the model was read from, with the files packed behind it.

    Raises: InvalidModelError, UnsupportedModelError when the metadata cannot be read.
    """
    content = metadata_content(model, TFLITE_METADATA)
    if content is None:
        return Description()
    root = decode_metadata(content, limits or Limits())
    subgraphs = root.tables("subgraph_metadata")[:1]
    if not subgraphs:
        return Description()
    return Description(
        labels=_labels(subgraphs[0].tables("output_tensor_metadata"), model.graph_outputs, file),
        normalisation=_normalisation(subgraphs[0].tables("input_tensor_metadata")),
    )


def _labels(
    outputs: Sequence[Table], specs: Sequence[TensorSpec], file: memoryview
) -> tuple[str, ...]:
    """Those of the first output that has one name for each of its values, else the first there are."""
    archive = find_archive(file)
    if archive is None:
        return ()
    first: tuple[str, ...] | None = None
    chosen = ((_label_file(output), spec) for output, spec in zip(outputs, specs, strict=False))
    named = ((name, spec) for name, spec in chosen if name)
    for name, spec in islice(named, _MAX_LABELLED):
        labels = tuple(_lines(archive.read(name)))
        if len(labels) == math.prod(spec.shape):
            return labels
        first = labels if first is None else first
    return first or ()


def _label_file(output: Table) -> str:
    """Its name; among several languages, of the neutral or English one."""
    listed = [
        entry
        for entry in output.tables("associated_files")
        if entry.integer("type") in _LABEL_TYPES
    ]
    listed.sort(key=lambda entry: entry.text("locale") not in ("", "en"))
    return listed[0].text("name") if listed else ""


def _lines(content: bytes) -> Iterator[str]:
    for line in content.decode("utf-8", "replace").splitlines():
        yield "".join(char for char in line.strip() if char.isprintable())


def _normalisation(inputs: Sequence[Table]) -> Normalisation | None:
    for unit in (unit for one in inputs[:1] for unit in one.tables("process_units")):
        options = unit.table("options")
        if options is not None and options.name == "NormalizationOptions":
            mean, std = options.floats("mean"), options.floats("std")
            is_sound = mean and std and 0 not in std and all(map(math.isfinite, (*mean, *std)))
            return Normalisation(mean=mean, std=std) if is_sound else None
    return None
