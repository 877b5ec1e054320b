"""Which file is uploaded: the one that was given, or one made of it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from mesh.cli.model_derive import Derivation, DerivedFile, derive, parse_shapes, parse_state
from mesh.errors import UnsupportedModelError, UsageError
from mesh.model import Limits, read_model
from mesh.testing.model_builder import ModelBuilder
from mesh.testing.models import tiny_dense
from mesh.testing.sequence_models import gated_cell


def _derive(
    folder: Path,
    content: bytes,
    *,
    shapes: Sequence[str] = (),
    state: Sequence[str] = (),
) -> DerivedFile:
    path = folder / "x.tflite"
    path.write_bytes(content)
    wish = Derivation(shapes=parse_shapes(shapes), state=parse_state(state))
    return derive(path, wish, folder=folder / "made", limits=Limits())


def test_nothing_to_change_gives_the_file_itself(tmp_path: Path) -> None:
    derived = _derive(tmp_path, tiny_dense())
    assert derived.path == tmp_path / "x.tflite"
    assert derived.content == tiny_dense()
    assert not (tmp_path / "made").exists()


def _open_inside() -> bytes:
    """Fixed inputs, and a tensor whose size the file leaves open."""
    builder = ModelBuilder()
    x, y = builder.tensor("x", (1, 4)), builder.tensor("y", (1, 4), shape_signature=[1, -1])
    builder.operator("RELU", [x], [y])
    return builder.build({"x": x}, {"y": y})


def test_what_one_allocation_resolves_is_fixed_unasked_and_said(tmp_path: Path) -> None:
    derived = _derive(tmp_path, _open_inside())
    assert derived.notes == ("its shapes are fixed for the input x [1, 4]",)
    assert [spec.shape for spec in read_model(derived.content).outputs] == [(1, 4)]


def _open_input() -> bytes:
    builder = ModelBuilder()
    x, y = (builder.tensor(name, (1, 1), shape_signature=[-1, -1]) for name in "xy")
    builder.operator("RELU", [x], [y])
    return builder.build({"x": x}, {"y": y})


def test_an_open_input_needs_a_shape(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="--input-shape x="):
        _derive(tmp_path, _open_input())
    derived = _derive(tmp_path, _open_input(), shapes=["x=2,7"])
    assert [spec.shape for spec in read_model(derived.content).outputs] == [(2, 7)]


def test_state_is_declared_in_the_file(tmp_path: Path) -> None:
    content = gated_cell(declares_state=False)
    derived = _derive(tmp_path, content, state=["h=next_h", "c=next_c"])
    assert [spec.name for spec in read_model(derived.content).inputs] == ["x"]
    assert derived.notes == ("it keeps state between requests: h takes over next_h, c next_c",)


def test_shapes_and_state_together(tmp_path: Path) -> None:
    content = gated_cell(declares_state=False)
    derived = _derive(tmp_path, content, shapes=["x=1,8"], state=["h=next_h", "c=next_c"])
    assert len(derived.notes) == 2
    assert len(read_model(derived.content).state) == 2


def test_how_options_are_read() -> None:
    assert parse_shapes(["a=1,2", "b:0=3x4", "c=d=5"]) == {"a": (1, 2), "b:0": (3, 4), "c=d": (5,)}
    assert parse_state(["h=next_h"]) == (("h", "next_h"),)


@pytest.mark.parametrize("text", ["", "x", "x=", "=1,2", "x=1,,2", "x=-1", "x=a", "x=1.5"])
def test_words_that_are_no_shape(text: str) -> None:
    with pytest.raises(UsageError, match="write NAME=1,48,48,3"):
        parse_shapes([text])


def test_one_input_has_one_shape() -> None:
    with pytest.raises(UsageError, match="twice"):
        parse_shapes(["x=1", "x=2"])


@pytest.mark.parametrize("text", ["", "h", "h=", "=h"])
def test_words_that_are_no_pair(text: str) -> None:
    with pytest.raises(UsageError, match="write INPUT=OUTPUT"):
        parse_state([text])
