import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidModelError, UnsupportedModelError
from mesh.model.state_pairs import MAX_CONTENT_BYTES, decode_pairs, encode_pairs, match_pairs
from mesh.model.tensor import DataType, TensorSpec


def _spec(index: int, name: str, size: int = 4) -> TensorSpec:
    return TensorSpec(index=index, name=name, data_type=DataType.FP32, shape=(1, size))


_INPUTS = (_spec(0, "x"), _spec(1, "h"), _spec(2, "c"))
_OUTPUTS = (_spec(7, "y", 2), _spec(8, "next_h"), _spec(9, "next_c"))


@given(st.lists(st.tuples(st.text(), st.text()), max_size=9))
def test_what_is_written_is_read(names: list[tuple[str, str]]) -> None:
    assert decode_pairs(memoryview(encode_pairs(names))) == tuple(names)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"{}",
        b"[1]",
        b'[["h"]]',
        b'[["h", "c", "d"]]',
        b'[["h", 3]]',
        b"[" * 100_000,
        b'[["a","b"]' + b',["a","b"]' * 256 + b"]",
        b" " * (MAX_CONTENT_BYTES + 1),
    ],
)
def test_anything_else_is_damage(content: bytes) -> None:
    with pytest.raises(InvalidModelError, match=r"edge_mesh\.state"):
        decode_pairs(memoryview(content))


def test_names_are_matched_with_inputs_and_outputs() -> None:
    pairs = match_pairs([("h", "next_h"), ("c", "next_c")], _INPUTS, _OUTPUTS)

    assert [(pair.input.index, pair.output.index) for pair in pairs] == [(1, 8), (2, 9)]
    assert match_pairs([], _INPUTS, _OUTPUTS) == ()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([("q", "next_h")], "names input 'q', which the model does not have; its inputs: x, h, c"),
        ([("h", "q")], "names output 'q'"),
        ([("h", "next_h"), ("h", "next_c")], "'h' is named in two pairs"),
        ([("h", "next_h"), ("c", "next_h")], "'next_h' is named in two pairs"),
        ([("h", "y")], r"'h' \(FP32 \[1, 4\]\) cannot take over output 'y' \(FP32 \[1, 2\]\)"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(names: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        match_pairs(names, _INPUTS, _OUTPUTS)
