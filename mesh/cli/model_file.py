"""Checks what `mesh model add` was given, before anything is sent: the file, name, labels, split."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mesh.cli.labels import check_labels, read_labels
from mesh.cli.model_derive import UNCHANGED, Derivation, DerivedFile, derive
from mesh.errors import BadPayloadError, ModelError, UnsupportedModelError, UsageError
from mesh.model import Limits, Model, read_model, uncuttable_reason
from mesh.model.metadata import Description, Normalisation, read_description
from mesh.model.tensor import DataType, TensorSpec
from mesh.pipeline.classes import has_classes
from mesh.pipeline.image import image_input
from mesh.planning.wishes import Wishes
from mesh.store.manifest import check_model_name
from mesh.wire.control import ImageWish

_FLOATS = frozenset({DataType.FP16, DataType.FP32, DataType.FP64})


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the command line asks for; `image` holds the fields of an ImageWish that were given.

    None stands for: no word about pictures.
    """

    name: str | None = None
    wishes: Wishes = field(default_factory=Wishes)
    image: Mapping[str, object] | None = None
    labels_path: Path | None = None
    derivation: Derivation = UNCHANGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A sound model file under a name, with how it is to be served.

    `path` is the file to upload; `notes` say what it was given beside the user's words.
    """

    path: Path
    name: str
    inputs: tuple[TensorSpec, ...]
    wishes: Wishes
    image: ImageWish | None
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def takes_pictures(self) -> bool:
        """Whether the mesh can turn a JPEG into the input."""
        return _takes_pictures(self.inputs)


def check_offer(path: Path, given: Given, *, folder: Path, limits: Limits) -> Offer:
    """A changed file goes into `folder`.

    Raises: InvalidModelError, UnsupportedModelError, UsageError, and where shapes are to be worked
    out RuntimeFailureError, DeviceError.
    """
    name = check_model_name(given.name if given.name is not None else _name_of(path))
    given_labels = read_labels(given.labels_path) if given.labels_path is not None else None
    try:
        derived = derive(path, given.derivation, folder=folder, limits=limits)
        model = read_model(derived.content, limits)
    except ModelError as error:
        raise type(error)(f"{path.name}: {error}") from error
    _check_wishes(model, path, given.wishes)
    description, reading = _describe(model, derived)
    labels, labelling = _labels(given_labels, description)
    image, scaling = _image(path, model, given.image, description.normalisation)
    return Offer(
        path=derived.path,
        name=name,
        inputs=model.inputs,
        wishes=given.wishes,
        image=image,
        labels=labels,
        notes=tuple(
            note
            for note in (
                *derived.notes,
                reading,
                labelling,
                _unused(labels, model.outputs),
                scaling,
            )
            if note
        ),
    )


def _name_of(path: Path) -> str:
    """The file's name as far as a topic can hold it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.")[:64]


def _describe(model: Model, derived: DerivedFile) -> tuple[Description, str]:
    """What the metadata says; metadata that cannot be read is no reason not to serve the model."""
    try:
        return read_description(model, derived.content), ""
    except ModelError as error:
        return Description(), f"its metadata is passed over: {error}"


def _labels(given: tuple[str, ...] | None, description: Description) -> tuple[tuple[str, ...], str]:
    if given is not None or not description.labels:
        return given or (), ""
    try:
        check_labels(description.labels, "its metadata")
    except UsageError as error:
        return (), f"its labels are passed over: {error}"
    return description.labels, f"{len(description.labels)} labels come from its metadata"


def _unused(labels: Sequence[str], outputs: Sequence[TensorSpec]) -> str:
    """A sentence where no output has a value for each label, so that no answer will name classes."""
    if not labels or any(has_classes(one.shape, one.data_type, len(labels)) for one in outputs):
        return ""
    listed = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in outputs[:3])
    return (
        f"answers will name no classes: there are {len(labels)} labels, but no output is a vector of "
        f"two or more values, one for each (the first: {listed})"
    )


def _image(
    path: Path,
    model: Model,
    given: Mapping[str, object] | None,
    normalisation: Normalisation | None,
) -> tuple[ImageWish | None, str]:
    """How pictures become the input: the user's words over the metadata's over the defaults."""
    if not _takes_pictures(model.inputs):
        if given is None:
            return None, ""
        listed = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in model.inputs)
        raise UsageError(
            f"{path.name} takes no pictures: its inputs are {listed}; leave the --image options out"
        )
    is_scaled = given is not None and ("scale" in given or "offset" in given)
    if normalisation is None or is_scaled or model.inputs[0].data_type not in _FLOATS:
        return (None if given is None else _wish(given)), ""
    if not normalisation.is_uniform:
        return (None if given is None else _wish(given)), (
            "its metadata scales each colour by itself, which pictures here are not: give "
            "--image-scale and --image-offset, or send tensors"
        )
    scale = 1 / normalisation.std[0]
    offset = -normalisation.mean[0] / normalisation.std[0] + 0.0  # no −0
    if math.isclose(scale, ImageWish().scale) and offset == 0:
        return (None if given is None else _wish(given)), ""
    sign = "−" if offset < 0 else "+"
    note = f"pictures are scaled as its metadata says: pixel × {scale:.6g} {sign} {abs(offset):.6g}"
    return _wish({"scale": scale, "offset": offset, **(given or {})}), note


def _wish(fields: Mapping[str, object]) -> ImageWish:
    return ImageWish(**fields)  # type: ignore[arg-type]


def _takes_pictures(inputs: tuple[TensorSpec, ...]) -> bool:
    try:
        image_input(inputs)
    except BadPayloadError:
        return False
    return True


def _check_wishes(model: Model, path: Path, wishes: Wishes) -> None:
    if wishes.private_layers > len(model.layers):
        raise UsageError(
            f"{path.name} has {len(model.layers)} layers, fewer than the {wishes.private_layers} "
            "that --private-prefix asks for: give a smaller number"
        )
    reason = uncuttable_reason(model) if wishes.min_stages > 1 else None
    if reason is not None:
        raise UnsupportedModelError(f"{path.name} cannot be split: {reason}")
