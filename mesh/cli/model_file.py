"""Checks what `mesh model add` was given, before anything is sent: the file, name, labels, split."""

import mmap
import re
from dataclasses import dataclass
from pathlib import Path

from mesh.cli.labels import read_labels
from mesh.errors import (
    BadPayloadError,
    InvalidModelError,
    ModelError,
    UnsupportedModelError,
    UsageError,
)
from mesh.model import Model, read_model, uncuttable_reason
from mesh.model.tensor import TensorSpec
from mesh.pipeline.image import image_input
from mesh.store.manifest import check_model_name
from mesh.wire.control import ImageWish


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A sound model file under a name, with how it is to be served."""

    path: Path
    name: str
    inputs: tuple[TensorSpec, ...]
    min_stages: int
    image: ImageWish | None
    labels: tuple[str, ...]

    @property
    def takes_pictures(self) -> bool:
        """Whether the mesh can turn a JPEG into the input."""
        try:
            image_input(self.inputs)
        except BadPayloadError:
            return False
        return True


def check_offer(
    path: Path,
    *,
    name: str | None,
    min_stages: int,
    image: ImageWish | None,
    labels_path: Path | None,
) -> Offer:
    """Raises: InvalidModelError, UnsupportedModelError, UsageError."""
    chosen = check_model_name(name if name is not None else _name_of(path))
    labels = read_labels(labels_path) if labels_path is not None else ()
    inputs = _read_inputs(path, min_stages)
    offer = Offer(
        path=path, name=chosen, inputs=inputs, min_stages=min_stages, image=image, labels=labels
    )
    if image is not None and not offer.takes_pictures:
        listed = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in inputs)
        raise UsageError(
            f"{path.name} takes no pictures: its inputs are {listed}; leave the --image options out"
        )
    return offer


def _name_of(path: Path) -> str:
    """The file's name as far as a topic can hold it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.")[:64]


def _read_inputs(path: Path, min_stages: int) -> tuple[TensorSpec, ...]:
    try:
        with path.open("rb") as file:
            # Not closed by hand: the model, and the trace of an error, hold views of it.
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # an empty file cannot be mapped
        raise InvalidModelError(f"{path.name} is no .tflite file: it is empty") from error
    try:
        model = read_model(content)
    except ModelError as error:
        raise type(error)(f"{path.name}: {error}") from error
    _check_split(model, path, min_stages)
    return model.inputs


def _check_split(model: Model, path: Path, min_stages: int) -> None:
    reason = uncuttable_reason(model) if min_stages > 1 else None
    if reason is not None:
        raise UnsupportedModelError(f"{path.name} cannot be split: {reason}")
