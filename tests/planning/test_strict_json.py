from dataclasses import dataclass
from enum import Enum

import pytest

from mesh.errors import UsageError
from mesh.ids import NodeId
from mesh.planning.strict_json import MAX_ITEMS, MAX_TEXT_BYTES, parse_object, read_as, to_plain


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    name: str
    sizes: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        if self.name == "bad":
            raise ValueError("a leaf must not be bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    node_id: NodeId
    colour: Colour = Colour.RED
    height: int = 0
    is_old: bool = False
    leaves: tuple[Leaf, ...] = ()


def read(text: str | bytes) -> Tree:
    return read_as(Tree, parse_object(text, "the file"), "the file")


def test_what_is_written_is_read_back() -> None:
    tree = Tree(
        node_id=NodeId("a"),
        colour=Colour.BLUE,
        height=3,
        is_old=True,
        leaves=(Leaf(name="x", sizes=(0.1, None, 3.0)),),
    )
    assert read_as(Tree, to_plain(tree), "the file") == tree


def test_what_is_left_out_has_its_default() -> None:
    assert read('{"node_id": "a"}') == Tree(node_id=NodeId("a"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the file is not JSON"),
        ("[" * 100_000, "it is nested too deep"),
        (b"\xff\xfe{}", "it is not UTF-8 text"),
        ("[]", "the file must be one JSON object"),
        ('{"node_id": "a", "node_id": "b"}', 'the key "node_id" is given twice'),
        ("{}", 'the file lacks the key "node_id"'),
        ('{"node_id": "a", "hight": 1}', 'the file has an unknown key "hight"'),
        ('{"node_id": 1}', "the file: node_id must be a short text"),
        ('{"node_id": "a\\u0007"}', "the file: node_id must be a short text"),
        ('{"node_id": "a", "height": 1.5}', "height must be a whole number"),
        ('{"node_id": "a", "height": true}', "height must be a whole number"),
        ('{"node_id": "a", "height": 9007199254740993}', "height must be a whole number"),
        ('{"node_id": "a", "height": 111111111111111111111}', "a number of too many digits"),
        ('{"node_id": "a", "is_old": 1}', "is_old must be true or false"),
        ('{"node_id": "a", "colour": "green"}', 'colour must be "red" or "blue"'),
        ('{"node_id": "a", "colour": []}', 'colour must be "red" or "blue"'),
        ('{"node_id": "a", "leaves": {}}', f"leaves must be a list of at most {MAX_ITEMS} entries"),
        ('{"node_id": "a", "leaves": [1]}', r"leaves\[0\] must be an object"),
        (
            '{"node_id": "a", "leaves": [{"name": "x", "sizes": [1e999]}]}',
            r"leaves\[0\]: sizes\[0\] must be a number",
        ),
        (
            '{"node_id": "a", "leaves": [{"name": "x", "sizes": [NaN]}]}',
            r"sizes\[0\] must be a number",
        ),
        ('{"node_id": "a", "leaves": [{"name": "bad"}]}', "a leaf must not be bad"),
    ],
)
def test_what_is_wrong_is_named(text: str | bytes, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read(text)


def test_too_much_is_refused_unread() -> None:
    with pytest.raises(UsageError, match="larger"):
        parse_object(" " * (MAX_TEXT_BYTES + 1), "the file")
    many = ",".join(["null"] * (MAX_ITEMS + 1))
    with pytest.raises(UsageError, match="at most"):
        read(f'{{"node_id": "a", "leaves": [{{"name": "x", "sizes": [{many}]}}]}}')
