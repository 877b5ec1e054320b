"""What is checked before anything is sent."""

from pathlib import Path
from typing import Any

import pytest

from mesh.cli.model_file import Offer, check_offer
from mesh.errors import InvalidModelError, MeshError, UnsupportedModelError, UsageError
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import residual_cnn, tiny_dense
from mesh.wire.control import ImageWish


def offer(path: Path, content: bytes, **changes: Any) -> Offer:
    path.write_bytes(content)
    options = {"name": None, "min_stages": 1, "image": None, "labels_path": None} | changes
    return check_offer(path, **options)


def test_a_sound_model(tmp_path: Path) -> None:
    found = offer(tmp_path / "My net (v2).tflite", residual_cnn("int8", blocks=1))
    assert found.name == "My-net-v2"
    assert [spec.name for spec in found.inputs] == ["image"]
    assert found.takes_pictures
    assert not offer(tmp_path / "x.tflite", tiny_dense(), name="y").takes_pictures


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        (b"", InvalidModelError, "x.tflite is no .tflite file: it is empty"),
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
        offer(path, tiny_dense(), image=ImageWish())
    with pytest.raises(UsageError, match="model name"):
        offer(path, tiny_dense(), name="a/b")
    with pytest.raises(UsageError, match="model name"):
        offer(tmp_path / "(((.tflite", tiny_dense())
    with pytest.raises(UsageError, match="cannot be read"):
        check_offer(tmp_path, name="x", min_stages=1, image=None, labels_path=None)


def test_a_model_that_cannot_be_split(tmp_path: Path) -> None:
    builder = ModelBuilder()
    x, y = builder.tensor("x", (1, 4)), builder.tensor("y", (1, 4))
    builder.operator("RELU", [x], [y])
    content = builder.build({"x": x}, {"y": y})
    assert offer(tmp_path / "one.tflite", content).min_stages == 1
    with pytest.raises(UnsupportedModelError, match="cannot be split: it has a single"):
        offer(tmp_path / "one.tflite", content, min_stages=2)
