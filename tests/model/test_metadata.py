import struct
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from mesh.errors import InvalidModelError
from mesh.model import read_model
from mesh.model.encoder import encode
from mesh.model.metadata import Description, Normalisation, read_description
from mesh.model.table import Table, make_table
from mesh.testing.model_builder import ModelBuilder


def _metadata(inputs: Sequence[Table], outputs: Sequence[Table]) -> bytes:
    """A ModelMetadata as the content of the entry: our encoder, with the other identifier."""
    subgraph = make_table(
        "SubGraphMetadata", input_tensor_metadata=inputs, output_tensor_metadata=outputs
    )
    file = encode(make_table("ModelMetadata", subgraph_metadata=[subgraph]))
    return file[:4] + b"M001" + file[8:]


def _labelled(name: str, kind: int = 2, locale: str = "") -> Table:
    return make_table("AssociatedFile", name=name, type=kind, locale=locale)


def _tensor(*files: Table) -> Table:
    return make_table("TensorMetadata", associated_files=files)


def _scaled(mean: Sequence[float], std: Sequence[float]) -> Table:
    options = make_table("NormalizationOptions", mean=mean, std=std)
    unit = make_table("ProcessUnit", options_type=1, options=options)
    return make_table("TensorMetadata", process_units=[unit])


def _described(content: bytes, files: dict[str, str]) -> Description:
    """Of a model with outputs of 2 and of 3 values."""
    builder = ModelBuilder()
    x, y, z = (builder.tensor(name, (1, n)) for name, n in (("x", 2), ("y", 2), ("z", 3)))
    weights = builder.constant("w", np.ones((3, 2), np.float32))
    builder.operator("RELU", [x], [y])
    builder.operator("FULLY_CONNECTED", [x, weights, -1], [z], make_table("FullyConnectedOptions"))
    builder.metadata("TFLITE_METADATA", content)
    packed = BytesIO(builder.build({"x": x}, {"y": y, "z": z}))
    with zipfile.ZipFile(packed, "a") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    file = memoryview(packed.getvalue())
    return read_description(read_model(file), file)


def test_labels_come_from_the_file_that_the_metadata_names() -> None:
    content = _metadata([], [_tensor(_labelled("names.txt"))])

    found = _described(content, {"names.txt": "cat\r\n dog\x1b \n", "other.txt": "no"})

    assert found.labels == ("cat", "dog")


def test_labels_that_fit_an_output_are_preferred() -> None:
    content = _metadata([], [_tensor(_labelled("three.txt")), _tensor(_labelled("three.txt"))])
    assert _described(content, {"three.txt": "a\nb\nc"}).labels == ("a", "b", "c")

    content = _metadata([], [_tensor(_labelled("one.txt")), _tensor(_labelled("three.txt"))])
    files = {"one.txt": "only", "three.txt": "a\nb\nc"}
    assert _described(content, files).labels == ("a", "b", "c")


def test_the_neutral_language_is_preferred() -> None:
    listed = [_labelled("de.txt", locale="de"), _labelled("en.txt", locale="en")]
    content = _metadata([], [_tensor(*listed)])

    assert _described(content, {"de.txt": "Hund", "en.txt": "dog"}).labels == ("dog",)


def test_other_files_are_no_labels() -> None:
    assert _described(_metadata([], [_tensor(_labelled("v.txt", kind=5))]), {}).labels == ()


def test_how_pixels_are_scaled() -> None:
    found = _described(_metadata([_scaled([127.5], [127.5])], []), {}).normalisation

    assert found == Normalisation(mean=(127.5,), std=(127.5,))
    assert found.is_uniform
    by_channel = _described(_metadata([_scaled([1.0, 2.0], [1.0, 1.0])], []), {}).normalisation
    assert by_channel is not None
    assert not by_channel.is_uniform


@pytest.mark.parametrize("std", [[], [0.0], [float("nan")], [float("inf")]])
def test_a_scaling_that_cannot_be_followed_is_none(std: list[float]) -> None:
    assert _described(_metadata([_scaled([0.0], std)], []), {}).normalisation is None


@pytest.mark.parametrize(
    "content", [b"", b"no metadata", struct.pack("<I4s", 8, b"M001") + b"\xff" * 16]
)
def test_metadata_that_cannot_be_read_is_damage(content: bytes) -> None:
    with pytest.raises(InvalidModelError):
        _described(content or b"\0", {})


def test_a_model_without_metadata_says_nothing() -> None:
    builder = ModelBuilder()
    x, y = builder.tensor("x", (1, 2)), builder.tensor("y", (1, 2))
    builder.operator("RELU", [x], [y])
    file = memoryview(builder.build({"x": x}, {"y": y}))

    assert read_description(read_model(file), file) == Description()


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "labels", "mean", "std"),
    [
        ("hand_landmark_full", ("Left", "Right"), (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
        ("palm_detection_full", ("palm",), (0.0,), (255.0,)),
        ("face_detection_short_range", (), (127.5,), (127.5,)),
    ],
)
def test_real_models(
    sample_model: Callable[[str], Path],
    name: str,
    labels: tuple[str, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> None:
    file = memoryview(sample_model(name).read_bytes())

    found = read_description(read_model(file), file)

    assert found == Description(labels=labels, normalisation=Normalisation(mean=mean, std=std))
