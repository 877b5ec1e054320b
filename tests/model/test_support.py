import itertools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model import read_model, support
from mesh.model.model import Operator, Tensor
from mesh.model.support import check_computed, check_constants, check_operators, check_tensors
from mesh.model.table import make_table
from mesh.testing.model_builder import ModelBuilder


def _tensor(**changes: Any) -> Tensor:
    fields: dict[str, Any] = {"type_name": "FLOAT32", "shape": (2,), "size_bytes": 8, "buffer": 1}
    fields |= changes
    return Tensor(index=0, name="odd", data_type=None, **fields)


@pytest.mark.parametrize(
    ("name", "fields", "reason"),
    [
        ("CUSTOM:Landmarks", {}, r"CUSTOM:Landmarks\) is a custom operator"),
        ("IF", {}, "control flow"),
        ("WHILE", {}, "control flow"),
        ("DELEGATE", {}, "put there by a delegate"),
        ("WHERE", {}, "size depends on values"),
        ("RANDOM_UNIFORM", {}, "draws random numbers"),
        ("ADD", {"custom_options": b"x"}, "options of a custom operator"),
        ("ADD", {"large_custom_options_offset": 9}, "options of a custom operator"),
    ],
)
def test_an_operator_is_refused_by_name_and_reason(
    name: str, fields: dict[str, Any], reason: str
) -> None:
    operator = Operator(index=4, name=name, version=1, inputs=(0, 1), outputs=(2,))

    with pytest.raises(UnsupportedModelError, match=rf"operator 4 \(.*{reason}"):
        check_operators([operator], [make_table("Operator", **fields)])


@pytest.mark.parametrize(
    ("changes", "fields", "reason"),
    [
        ({"type_name": "VARIANT"}, {}, "VARIANT"),
        ({}, {"external_buffer": 1}, "another file"),
        ({}, {"shape_signature": [1, -1]}, "not fixed"),
        ({"shape": (-1, 2)}, {}, "not fixed"),
        (
            {},
            {
                "quantization": make_table(
                    "QuantizationParameters",
                    details_type=2,
                    details=make_table("BlockwiseQuantization"),
                )
            },
            "BlockwiseQuantization",
        ),
    ],
)
def test_a_tensor_is_refused_by_name_and_reason(
    changes: dict[str, Any], fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=f"tensor 'odd' .*{reason}"):
        check_tensors([_tensor(**changes)], [make_table("Tensor", **fields)])


def test_an_open_batch_is_taken_as_the_file_has_it() -> None:
    check_tensors([_tensor()], [make_table("Tensor", shape_signature=[-1, 2])])


def test_computed_tensors_have_no_fixed_content() -> None:
    tables = [make_table("Tensor")]

    check_computed([_tensor(buffer=0), _tensor()], tables, [None, memoryview(b"")])
    with pytest.raises(InvalidModelError, match="'odd' is written to"):
        check_computed([_tensor()], tables, [None, memoryview(b"12345678")])


def test_computed_tensors_are_dense() -> None:
    tables = [make_table("Tensor", sparsity=make_table("SparsityParameters"))]

    with pytest.raises(UnsupportedModelError, match="'odd' is sparse"):
        check_computed([_tensor()], tables, [None, None])


@pytest.mark.parametrize("content", [None, b"", b"1234567", b"123456789"])
def test_constants_have_all_their_content(content: bytes | None) -> None:
    buffers = [None, None if content is None else memoryview(content)]

    with pytest.raises(InvalidModelError, match="constant 'odd'"):
        check_constants([_tensor()], [make_table("Tensor")], buffers)


def _texts(*texts: bytes) -> memoryview:
    """The layout of string_util.h."""
    ends = list(itertools.accumulate((len(t) for t in texts), initial=4 * (len(texts) + 2)))
    return memoryview(struct.pack(f"<{len(texts) + 2}i", len(texts), *ends) + b"".join(texts))


def _check_texts(content: memoryview) -> None:
    tensor = _tensor(type_name="STRING", size_bytes=0)
    check_constants([tensor], [make_table("Tensor")], [None, content])


def test_texts_lie_within_their_constant() -> None:
    _check_texts(_texts(b"cat", b"dog"))


def test_texts_that_tensors_share_are_followed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of some MB could otherwise take minutes to read."""
    followed: list[Tensor] = []
    monkeypatch.setattr(support, "_check_strings", lambda tensor, _: followed.append(tensor))
    tensors = [_tensor(type_name="STRING", size_bytes=0)] * 9

    check_constants(tensors, [make_table("Tensor")], [None, _texts(b"cat", b"dog")])

    assert len(followed) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        _texts(b"cat"),
        _texts(b"cat", b"dog")[:-1],
        struct.pack("<4i", 2, 16, 99, 16),
        struct.pack("<4i", 2, 16, 8, 16),
    ],
)
def test_texts_that_lie_elsewhere_are_damage(content: bytes) -> None:
    with pytest.raises(InvalidModelError, match="'odd' does not hold 2 texts"):
        _check_texts(memoryview(content))


def test_empty_constants_are_sound() -> None:
    check_constants([_tensor(size_bytes=0)], [make_table("Tensor")], [None, None])


def _one_operator(name: str, **tensor_fields: Any) -> bytes:
    builder = ModelBuilder()
    x = builder.tensor("x", (1, 4), **tensor_fields)
    y = builder.tensor("y", (1, 4))
    builder.operator(name, [x], [y])
    return builder.build({"x": x}, {"y": y})


@pytest.mark.parametrize(
    "file", [_one_operator("IF"), _one_operator("RELU", external_buffer=1), _one_operator("WHERE")]
)
def test_the_reader_refuses_what_the_checks_refuse(file: bytes) -> None:
    with pytest.raises(UnsupportedModelError):
        read_model(file)


def test_a_constant_of_the_wrong_size_is_damage() -> None:
    builder = ModelBuilder()
    x = builder.tensor("x", (1, 4))
    y = builder.tensor("y", (1, 4))
    w = builder.constant("w", np.ones((1, 2), np.float32))
    builder.operator("ADD", [x, w], [y], make_table("AddOptions"))

    file = builder.build({"x": x}, {"y": y})
    shape = np.array([2, 1, 2], np.int32).tobytes()  # the shape's length, then the shape
    assert file.count(shape) == 1

    with pytest.raises(InvalidModelError, match="'w' has 8 bytes of 24"):
        read_model(file.replace(shape, np.array([2, 3, 2], np.int32).tobytes()))


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hey_jarvis", r"\(IF\)"),
        ("melspectrogram", "not fixed"),
        ("face_landmark_with_attention", "CUSTOM:Landmarks2TransformMatrix"),
    ],
)
def test_real_models_that_cannot_be_served_are_refused(
    sample_model: Callable[[str], Path], name: str, reason: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=reason):
        read_model(sample_model(name).read_bytes())
