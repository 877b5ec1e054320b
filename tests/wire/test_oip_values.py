import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import BadPayloadError, RequestError, WrongDatatypeError, WrongShapeError
from mesh.model.tensor import DataType
from mesh.wire import oip_values

FLOATS = [DataType.FP16, DataType.FP32, DataType.FP64]
OF_ANOTHER_KIND: dict[DataType, tuple[Any, ...]] = {
    **dict.fromkeys(FLOATS, (True, None, "1", "nan", {}, [1])),
    **{kind: (True, 1.0, None, "1", "NaN") for kind in DataType if "INT" in kind.value},
    DataType.BOOL: (0, 1, 1.0, "true", None),
}
INTEGERS = [kind for kind in DataType if "INT" in kind.value]


def through_json(data_type: DataType, raw: bytes) -> bytes:
    numbers = json.loads(json.dumps(oip_values.to_list(data_type, raw), allow_nan=False))
    return oip_values.to_bytes("x", data_type, [len(numbers)], numbers)


@given(st.lists(st.integers(min_value=0, max_value=2**32 - 1)))
def test_every_fp32_bit_pattern_but_nan_payloads_survives_json(words: list[int]) -> None:
    raw = struct.pack(f"<{len(words)}I", *words)
    back = np.frombuffer(through_json(DataType.FP32, raw), dtype="<u4")
    values = np.frombuffer(raw, dtype="<f4")
    assert np.isnan(back.view("<f4"))[np.isnan(values)].all()
    assert (back == np.frombuffer(raw, "<u4"))[~np.isnan(values)].all()


@given(st.sampled_from(sorted(DataType, key=lambda kind: kind.value)), st.data())
def test_every_data_type_survives_json(data_type: DataType, data: st.DataObject) -> None:
    size = data_type.itemsize_bytes
    raw = data.draw(st.binary(max_size=8 * size).map(lambda b: b[: len(b) // size * size]))
    if data_type is DataType.BOOL:
        raw = bytes(byte & 1 for byte in raw)
    values = np.frombuffer(raw, dtype=data_type.numpy_name)
    back = np.frombuffer(through_json(data_type, raw), dtype=data_type.numpy_name)
    np.testing.assert_array_equal(back, values)


@given(
    st.lists(
        st.floats(width=64, allow_nan=False, allow_infinity=False, min_value=-3e38, max_value=3e38)
    )
)
def test_numbers_round_like_float32_of_float64(numbers: list[float]) -> None:
    raw = oip_values.to_bytes("x", DataType.FP32, [len(numbers)], json.loads(json.dumps(numbers)))
    with np.errstate(under="ignore"):
        assert raw == np.array(numbers, dtype=np.float64).astype("<f4").tobytes()


@pytest.mark.parametrize("data", [[1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]])
def test_data_may_be_flat_or_nested(data: list[Any]) -> None:
    assert oip_values.to_bytes("x", DataType.UINT8, [2, 3], data) == bytes(range(1, 7))


def test_a_scalar_is_one_number() -> None:
    assert oip_values.to_bytes("x", DataType.UINT8, [], [7]) == b"\x07"


@pytest.mark.parametrize(
    "data", [[[1, 2], [3]], [[1, 2, 3]], [[1, 2], 3], [[[1], [2]], [[3], [4]]], [1, 2, 3], [[]], []]
)
def test_wrong_nesting_is_refused(data: list[Any]) -> None:
    with pytest.raises((WrongShapeError, WrongDatatypeError)):
        oip_values.to_bytes("x", DataType.FP32, [2, 2], data)


@pytest.mark.parametrize("data", [None, 1, "1,2", {"a": 1}])
def test_data_that_is_no_list_is_refused(data: Any) -> None:
    with pytest.raises(BadPayloadError, match="must be a list"):
        oip_values.to_bytes("x", DataType.FP32, [1], data)


@pytest.mark.parametrize(
    ("data_type", "bad"),
    [(kind, bad) for kind, all_bad in OF_ANOTHER_KIND.items() for bad in all_bad],
)
def test_numbers_of_another_kind_are_refused(data_type: DataType, bad: Any) -> None:
    with pytest.raises(WrongDatatypeError, match=data_type.value):
        oip_values.to_bytes("x", data_type, [1], [bad])


@pytest.mark.parametrize("data_type", INTEGERS)
def test_integers_out_of_range_are_refused_and_the_limits_taken(data_type: DataType) -> None:
    limits = np.iinfo(data_type.numpy_name)
    raw = oip_values.to_bytes("x", data_type, [2], [int(limits.min), int(limits.max)])
    assert oip_values.to_list(data_type, raw) == [limits.min, limits.max]
    for number in (int(limits.min) - 1, int(limits.max) + 1, 10**300):
        with pytest.raises(BadPayloadError, match="outside"):
            oip_values.to_bytes("x", data_type, [1], [number])


@pytest.mark.parametrize(
    ("data_type", "number"),
    [
        (DataType.FP32, 3.5e38),
        (DataType.FP16, 65520),
        (DataType.FP64, 10**400),
        (DataType.FP32, 1e999),
    ],
)
def test_floats_out_of_range_are_refused(data_type: DataType, number: float) -> None:
    for data in ([number], [number, "NaN"], ["Infinity", number]):
        with pytest.raises(RequestError, match="outside"):
            oip_values.to_bytes("x", data_type, [len(data)], data)


@pytest.mark.parametrize("number", [0.1, -5, (1 << 64) - 1, math.inf, -math.inf])
def test_one_number_is_written_as_in_a_list(number: float) -> None:
    written = json.loads(json.dumps(oip_values.to_json_number(number), allow_nan=False))
    assert oip_values.from_json_number(written) == number
    assert oip_values.to_json_number(math.nan) == "NaN"
    assert math.isnan(oip_values.from_json_number("NaN"))


@pytest.mark.parametrize("bad", ["cat", "", None, True, [1], {}])
def test_what_is_no_number_is_none(bad: Any) -> None:
    with pytest.raises(ValueError, match="a number is expected"):
        oip_values.from_json_number(bad)


def test_the_three_non_finite_numbers_are_strings() -> None:
    raw = oip_values.to_bytes("x", DataType.FP32, [4], ["NaN", "Infinity", "-Infinity", -0.0])
    assert oip_values.to_list(DataType.FP32, raw) == ["NaN", "Infinity", "-Infinity", 0.0]
    assert raw[-4:] == struct.pack("<f", -0.0)
