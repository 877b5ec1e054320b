import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from mesh.model.tensor import DataType
from mesh.pipeline.classes import (
    MAX_CLASSES,
    MAX_NAMED_OUTPUTS,
    has_classes,
    likeliest,
    with_classes,
)
from mesh.store.manifest import MAX_LABEL_CHARS
from mesh.wire.infer import InferResponse, LikelyClass, OutputTensor, PayloadLimits
from mesh.wire.oip_reply import encode_response, parse_response

LABELS = ("cat", "dog", "emu", "fox", "gnu", "hen", "ibis")
NUMBERS = [data_type for data_type in DataType if data_type is not DataType.BOOL]


def output_of(values: npt.ArrayLike, *, name: str = "scores", shape: Any = None) -> OutputTensor:
    array = np.asarray(values)
    data_type = next(one for one in DataType if one.numpy_name == array.dtype.str)
    return OutputTensor(
        name=name, data_type=data_type, shape=shape or array.shape, data=array.tobytes()
    )


vectors = st.sampled_from([one.numpy_name for one in NUMBERS]).flatmap(
    lambda name: arrays_of.arrays(name, st.integers(0, 40))
)


@given(vectors, st.integers(1, 45))
def test_the_likeliest_are_those_of_a_full_sort(values: npt.NDArray[Any], count: int) -> None:
    numbers = [(i, value) for i, value in enumerate(values.tolist()) if not math.isnan(value)]
    expected = sorted(numbers, key=lambda one: (-one[1], one[0]))[:count]
    assert likeliest(values, count) == [i for i, _ in expected]


def test_integers_are_compared_exactly() -> None:
    largest = (1 << 64) - 1
    assert likeliest(np.array([largest - 1, largest, 0], np.uint64), 2) == [1, 0]
    assert likeliest(np.array([-128, 127, -1], np.int8), 3) == [1, 2, 0]


def test_each_output_that_fits_gets_its_five() -> None:
    scores = output_of(np.array([[0.1, 0.6, 0.25, 0.0, 0.05, 0.0, 0.0]], np.float32))
    box = output_of(np.zeros((1, 4), np.float32), name="box")
    named, other = with_classes([scores, box], LABELS)
    assert other is box
    assert [(one.index, one.label) for one in named.classes] == [
        (1, "dog"),
        (2, "emu"),
        (0, "cat"),
        (4, "gnu"),
        (3, "fox"),
    ]
    assert named.classes[0].value == float(np.float32(0.6))
    assert (named.data, named.shape) == (scores.data, scores.shape)


def test_quantised_values_stay_as_they_are() -> None:
    (named,) = with_classes([output_of(np.array([-128, 127, -5], np.int8))], LABELS[:3])
    assert named.classes == (
        LikelyClass(index=1, label="dog", value=127),
        LikelyClass(index=2, label="emu", value=-5),
        LikelyClass(index=0, label="cat", value=-128),
    )
    assert isinstance(named.classes[0].value, int)


def test_nan_is_never_likely_and_infinity_is() -> None:
    values = np.array([math.nan, 1.0, math.inf, -math.inf, math.nan], np.float32)
    (named,) = with_classes([output_of(values)], LABELS[:5])
    assert [one.label for one in named.classes] == ["emu", "dog", "fox"]
    (nothing,) = with_classes([output_of(np.full(5, math.nan, np.float16))], LABELS[:5])
    assert nothing.classes == ()


@pytest.mark.parametrize(
    ("shape", "data_type", "labels", "expected"),
    [
        ((1, 7), DataType.FP32, 7, True),
        ((7,), DataType.UINT8, 7, True),
        ((1, 1, 7, 1), DataType.INT64, 7, True),
        ((1, 7), DataType.FP32, 6, False),
        ((2, 4), DataType.FP32, 8, False),
        ((1, 7), DataType.BOOL, 7, False),
        ((1, 1), DataType.FP32, 1, False),
        ((), DataType.FP32, 1, False),
        ((0, 7), DataType.FP32, 7, False),
        ((0,), DataType.FP32, 0, False),
    ],
)
def test_only_vectors_of_as_many_numbers_as_labels_have_classes(
    shape: tuple[int, ...], data_type: DataType, labels: int, expected: bool
) -> None:
    assert has_classes(shape, data_type, labels) is expected


def test_what_labels_add_to_a_reply_is_bounded() -> None:
    """Whatever the labels, a client reads the header of the binary form."""
    labels = ["\U0001f600" * MAX_LABEL_CHARS] * 300
    many = [output_of(np.zeros(300, np.uint8), name=f"{i}") for i in range(256)]
    outputs = with_classes(many, labels)
    assert sum(bool(output.classes) for output in outputs) == MAX_NAMED_OUTPUTS
    assert max(len(output.classes) for output in outputs) == MAX_CLASSES
    response = InferResponse(id="7", model_name="m", model_version="1", outputs=outputs)
    payload = encode_response(response, binary=True)
    assert parse_response(payload, PayloadLimits()) == response
    header, _ = json.JSONDecoder().raw_decode(payload.decode("latin-1"))
    assert len(json.dumps(header["classes"])) < 2 * PayloadLimits().max_header_bytes + 16384
