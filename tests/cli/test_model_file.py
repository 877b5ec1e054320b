"""What is checked before anything is sent."""

from pathlib import Path
from typing import Any

import pytest

from mesh.cli.model_derive import Derivation
from mesh.cli.model_file import Given, Offer, check_offer
from mesh.errors import InvalidModelError, MeshError, UnsupportedModelError, UsageError
from mesh.model import Limits
from mesh.planning.wishes import Wishes
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense
from mesh.wire.control import ImageWish


def offer(path: Path, content: bytes, **changes: Any) -> Offer:
    path.write_bytes(content)
    return check_offer(path, Given(**changes), folder=path.parent / "made", limits=Limits())


def test_a_sound_model(tmp_path: Path) -> None:
    found = offer(tmp_path / "My net (v2).tflite", residual_cnn("int8", blocks=1))
    assert found.name == "My-net-v2"
    assert [spec.name for spec in found.inputs] == ["image"]
    assert found.takes_pictures
    assert not offer(tmp_path / "x.tflite", tiny_dense(), name="y").takes_pictures


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        (b"", InvalidModelError, "x.tflite: the file is empty"),
        (b"hello world, this is no model", InvalidModelError, "x.tflite: "),
        (tiny_dense()[:200], InvalidModelError, "x.tflite: "),
    ],
)
def test_refused_files(content: bytes, error: type[MeshError], reason: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=reason):
        offer(tmp_path / "x.tflite", content)


def test_refused_wishes(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    with pytest.raises(UsageError, match="takes no pictures: its inputs are x"):
        offer(path, tiny_dense(), image={})
    with pytest.raises(UsageError, match="model name"):
        offer(path, tiny_dense(), name="a/b")
    with pytest.raises(UsageError, match="model name"):
        offer(tmp_path / "(((.tflite", tiny_dense())
    with pytest.raises(UsageError, match="cannot be read"):
        check_offer(tmp_path, Given(name="x"), folder=tmp_path, limits=Limits())


def test_a_model_that_cannot_be_split(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x, y = builder.tensor("x", (1, 4)), builder.tensor("y", (1, 4))
    builder.operator("RELU", [x], [y])
    content = builder.build({"x": x}, {"y": y})
    assert offer(tmp_path / "one.tflite", content).wishes == Wishes()
    with pytest.raises(UnsupportedModelError, match="cannot be split: it has a single"):
        offer(tmp_path / "one.tflite", content, wishes=Wishes(min_stages=2))


def test_a_sound_file_is_offered_as_it_is(tmp_path: Path) -> None:
    found = offer(tmp_path / "x.tflite", residual_cnn("float32", blocks=1))
    assert found.path == tmp_path / "x.tflite"
    assert found.notes == ()
    assert found.image is None


def test_a_changed_file_is_offered_instead(tmp_path: Path) -> None:
    derivation = Derivation(shapes={"x": (4, 8)}, state=())
    found = offer(tmp_path / "x.tflite", tiny_dense(), derivation=derivation)
    assert found.path == tmp_path / "made" / "fixed" / "x.tflite"
    assert [spec.shape for spec in found.inputs] == [(4, 8)]
    assert found.notes == ("its shapes are fixed for the input x [4, 8]",)


@pytest.mark.samples
@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (None, ImageWish(scale=1 / 127.5, offset=-1.0)),
        ({"mode": "crop"}, ImageWish(scale=1 / 127.5, offset=-1.0, mode="crop")),
        ({"scale": 0.5}, ImageWish(scale=0.5)),
    ],
)
def test_pictures_are_scaled_as_the_metadata_says_unless_told(
    image: Any, expected: ImageWish, sample_model: Any, tmp_path: Path
) -> None:
    content = sample_model("face_detection_short_range").read_bytes()
    assert offer(tmp_path / "x.tflite", content, image=image).image == expected


@pytest.mark.samples
def test_labels_come_from_the_metadata_unless_told(sample_model: Any, tmp_path: Path) -> None:
    content = sample_model("hand_landmark_full").read_bytes()
    found = offer(tmp_path / "x.tflite", content)
    assert found.labels == ("Left", "Right")
    assert "2 labels come from its metadata" in found.notes
    given = tmp_path / "labels.txt"
    given.write_text("L\nR\n")
    assert offer(tmp_path / "x.tflite", content, labels_path=given).labels == ("L", "R")


@pytest.mark.parametrize(("count", "is_told"), [(1, True), (9, True), (10, False), (11, True)])
def test_labels_that_fit_no_output_are_told(count: int, is_told: bool, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"class {i}\n" for i in range(count)))
    content = residual_cnn("float32", blocks=1)
    found = offer(tmp_path / "x.tflite", content, labels_path=labels)
    assert len(found.labels) == count
    expected = (
        f"answers will name no classes: there are {count} labels, but no output is a vector of two "
        "or more values, one for each (the first: scores [1, 10], boxes [1, 256, 4])"
    )
    assert found.notes == ((expected,) if is_told else ())


def test_metadata_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x, y = builder.tensor("x", (1, 4)), builder.tensor("y", (1, 4))
    builder.operator("RELU", [x], [y])
    builder.metadata("TFLITE_METADATA", b"nonsense")
    found = offer(tmp_path / "x.tflite", builder.build({"x": x}, {"y": y}))
    assert found.notes == (
        "its metadata is passed over: the model's metadata lacks the identifier M001",
    )


def test_no_more_layers_are_private_than_there_are(tmp_path: Path) -> None:
    path, content = tmp_path / "one.tflite", residual_cnn("float32", blocks=1)
    wishes = Wishes(private_layers=2)
    assert offer(path, content, wishes=wishes).wishes == wishes
    with pytest.raises(UsageError, match="that --private-prefix asks for"):
        offer(path, content, wishes=Wishes(private_layers=9999))
