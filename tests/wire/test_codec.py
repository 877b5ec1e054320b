import json
import math
from dataclasses import dataclass
from enum import Enum
from typing import Any, NewType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesh.errors import RemoteError
from mesh.wire.codec import MAX_INTEGER, MAX_ITEMS, MAX_TEXT_CHARS, decode, encode, from_plain

Label = NewType("Label", str)
MAX_BYTES = 1 << 20


class Colour(Enum):
    RED = "red"
    GREEN = "green"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    label: Label
    weight: float
    count: int = 0

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("a leaf's count must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    colour: Colour
    ripe: bool
    leaves: tuple[Leaf, ...]
    grid: tuple[tuple[int, ...], ...] = ()
    note: str | None = None
    best: Leaf | None = None


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
finite = st.floats(allow_nan=False, allow_infinity=False)
leaves = st.builds(Leaf, label=texts.map(Label), weight=finite, count=st.integers(0, MAX_INTEGER))
trees = st.builds(
    Tree,
    colour=st.sampled_from(Colour),
    ripe=st.booleans(),
    leaves=st.lists(leaves, max_size=3).map(tuple),
    grid=st.lists(
        st.lists(st.integers(-MAX_INTEGER, MAX_INTEGER), max_size=3).map(tuple), max_size=3
    ).map(tuple),
    note=st.none() | texts,
    best=st.none() | leaves,
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["red", "ready", "lost"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
# Objects with the right keys get past the first check.
tree_like = st.fixed_dictionaries(
    {
        "colour": json_values | st.just("red"),
        "ripe": json_values | st.booleans(),
        "leaves": json_values
        | st.lists(
            st.fixed_dictionaries(
                {"label": json_values | texts, "weight": json_values | finite},
                optional={"count": json_values},
            ),
            max_size=3,
        ),
    },
    optional={"grid": json_values, "note": json_values, "best": json_values},
)


@given(trees)
def test_what_is_encoded_comes_back(tree: Tree) -> None:
    assert decode(Tree, encode(tree), max_bytes=MAX_BYTES) == tree


@given(trees)
def test_equal_values_give_equal_bytes(tree: Tree) -> None:
    again = decode(Tree, encode(tree), max_bytes=MAX_BYTES)
    assert encode(again) == encode(tree)


@given(json_values | tree_like)
def test_any_json_gives_a_value_or_a_remote_error(raw: Any) -> None:
    payload = json.dumps(raw).encode()
    try:
        tree = decode(Tree, payload, max_bytes=MAX_BYTES)
    except RemoteError:
        return
    assert decode(Tree, encode(tree), max_bytes=MAX_BYTES) == tree


@given(st.binary(max_size=64))
@example(b"[" * 50_000)
@example(b'{"a":' * 50_000)
@example(b"\xff\xfe")
@example(b'"\\ud800"')
@example(b"NaN")
@example(b"9" * 5000)
def test_any_bytes_give_a_value_or_a_remote_error(payload: bytes) -> None:
    with pytest.raises(RemoteError):
        decode(Tree, payload, max_bytes=MAX_BYTES)


@given(trees, st.data())
def test_a_cut_document_is_refused(tree: Tree, data: st.DataObject) -> None:
    whole = encode(tree)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(RemoteError):
        decode(Tree, cut, max_bytes=MAX_BYTES)


def test_a_document_over_its_limit_is_refused_unread() -> None:
    with pytest.raises(RemoteError, match="at most 10"):
        decode(Tree, b"x" * 11, max_bytes=10)


def test_a_newer_peer_may_say_more() -> None:
    raw = {"label": "a", "weight": 1.0, "colour_of_vein": [{}]}
    assert from_plain(Leaf, raw) == Leaf(label=Label("a"), weight=1.0)


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ({"weight": 1.0}, "Leaf.label is missing"),
        ({"label": 1, "weight": 1.0}, "Leaf.label"),
        ({"label": "a", "weight": "1"}, "Leaf.weight"),
        ({"label": "a", "weight": True}, "Leaf.weight"),
        ({"label": "a", "weight": math.inf}, "Leaf.weight"),
        ({"label": "a", "weight": 10**400}, "Leaf.weight"),
        ({"label": "a", "weight": 1.0, "count": 1.0}, "Leaf.count"),
        ({"label": "a", "weight": 1.0, "count": True}, "Leaf.count"),
        ({"label": "a", "weight": 1.0, "count": MAX_INTEGER + 1}, "Leaf.count"),
        ({"label": "a", "weight": 1.0, "count": -1}, "must not be negative"),
        ({"label": "a" * (MAX_TEXT_CHARS + 1), "weight": 1.0}, "Leaf.label"),
        ([], "expected an object"),
        (None, "expected an object"),
    ],
)
def test_the_field_that_is_wrong_is_named(raw: Any, where: str) -> None:
    with pytest.raises(RemoteError, match=where):
        from_plain(Leaf, raw)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"colour": "blue"}, "Tree.colour"),
        ({"colour": ["red"]}, "Tree.colour"),
        ({"leaves": {}}, "Tree.leaves"),
        ({"leaves": [{"label": "a", "weight": 1.0}, 3]}, r"Tree.leaves\[1\]"),
        ({"grid": [[1], [2, "3"]]}, r"Tree.grid\[1\]\[1\]"),
        ({"grid": [[]] * (MAX_ITEMS + 1)}, "Tree.grid"),
        ({"best": {"label": "a"}}, "Tree.best.weight"),
        ({"note": 3}, "Tree.note"),
    ],
)
def test_the_way_to_a_nested_mistake_is_named(changes: dict[str, Any], where: str) -> None:
    raw = {"colour": "red", "ripe": True, "leaves": []} | changes
    with pytest.raises(RemoteError, match=where):
        from_plain(Tree, raw)


def test_text_that_nothing_can_show_is_mended() -> None:
    leaf = decode(Leaf, b'{"label": "a\\ud800b", "weight": 1}', max_bytes=100)
    assert leaf.label == "a?b"


def test_an_integer_serves_as_a_float() -> None:
    leaf = decode(Leaf, b'{"label": "", "weight": 3}', max_bytes=100)
    assert isinstance(leaf.weight, float)


def test_what_json_cannot_say_is_not_encoded() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(Leaf(label=Label(""), weight=math.nan))
