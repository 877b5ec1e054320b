"""Every model that is cut and compared: generated, from sample wheels, and converted by hand."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mesh.cli.model_derive import Derivation, derive
from mesh.demo.samples import fetch_sample, samples
from mesh.model import Limits, Model
from mesh.testing.exactness import Way, every_cut_in_two, random_ways, some_cuts_in_two
from mesh.testing.models import GENERATED

SAMPLES_FOLDER = Path(__file__).parents[2] / ".venvs" / "samples"
CONVERTED = "converted"
MELSPECTROGRAM_SAMPLES = 1760
"""80 ms of new sound and 30 ms of old, at 16 kHz: what openWakeWord feeds it."""

# Files with open shapes, by the shapes that they are frozen with.
_FROZEN: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "melspectrogram": {"input": (1, MELSPECTROGRAM_SAMPLES)},
}
_FROZEN_SUFFIX = "_frozen"
# Refused whole, each for its own reason (test_refusals.py).
_REFUSED = frozenset(
    {
        "face_landmark_with_attention",
        "hey_jarvis",
        "melspectrogram",
        "selfie_segmentation",
        "selfie_segmentation_landscape",
    }
)
_RANDOM_WAYS = {True: 12, False: 4}
_SAMPLED_CUTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model and where it comes from; `source` as the page says it."""

    name: str
    source: str
    licence: str


def entries(samples_folder: Path = SAMPLES_FOLDER) -> dict[str, Entry]:
    """All models by name; those converted by hand are there when their files are."""
    listed = [
        *(Entry(name=name, source="generated", licence="Apache-2.0") for name in GENERATED),
        *_sampled(),
        *(
            Entry(name=path.stem, source="`scripts/convert`", licence=_licence(path.stem))
            for path in sorted((samples_folder / CONVERTED).glob("*.tflite"))
        ),
    ]
    return {entry.name: entry for entry in listed}


def _licence(name: str) -> str:
    """As scripts/convert/README.md lists them."""
    return "MIT" if name.startswith("silero") else "Apache-2.0"


def _sampled() -> list[Entry]:
    found = []
    for name, sample in samples().items():
        if not sample.member.endswith(".tflite"):
            continue
        source = sample.wheel.requirement.replace("==", " ")
        found.append(Entry(name=name, source=source, licence=sample.licence))
        if name in _FROZEN:
            (shape,) = _FROZEN[name].values()
            found.append(
                Entry(
                    name=name + _FROZEN_SUFFIX,
                    source=f"{name}, frozen to {'×'.join(map(str, shape))}",
                    licence=sample.licence,
                )
            )
    return found


def is_servable(name: str) -> bool:
    return name not in _REFUSED


def needs_samples(name: str) -> bool:
    return name not in GENERATED


def is_converted(name: str) -> bool:
    return needs_samples(name) and name.removesuffix(_FROZEN_SUFFIX) not in samples()


def model_path(name: str, samples_folder: Path, folder: Path) -> Path:
    """The model's file: one of the samples', or one made in `folder`."""
    if name in GENERATED:
        path = folder / f"{name}.tflite"
        path.write_bytes(GENERATED[name]())
        return path
    original = name.removesuffix(_FROZEN_SUFFIX)
    if original in _FROZEN and original != name:
        shapes = _FROZEN[original]
        made = folder / name
        made.mkdir(exist_ok=True)
        wish = Derivation(shapes=shapes, state=())
        return derive(
            fetch_sample(original, samples_folder), wish, folder=made, limits=Limits()
        ).path
    if name in samples():
        return fetch_sample(name, samples_folder)
    return samples_folder / CONVERTED / f"{name}.tflite"


def ways_to_cut(name: str, model: Model, *, is_full: bool) -> tuple[Way, ...]:
    """Every cut in two and some in three to six stages; else a small sample, the same each time."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    in_two = every_cut_in_two(model) if is_full else some_cuts_in_two(model, _SAMPLED_CUTS, seed)
    return in_two + random_ways(model, _RANDOM_WAYS[is_full], seed)
