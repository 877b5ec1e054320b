import argparse

import pytest

from mesh.cli.options import Parser
from mesh.cli.wish_options import add_wishes, time_s, wishes_of
from mesh.errors import UsageError
from mesh.ids import NodeId
from mesh.planning.problem import Objective
from mesh.planning.wishes import Wishes


def read(*words: str) -> Wishes | None:
    parser = Parser()
    add_wishes(parser)
    return wishes_of(parser.parse_args(words))


def test_nothing_said_is_no_wish() -> None:
    assert read() is None


def test_every_option_becomes_a_wish() -> None:
    words = "--split 2 --replicas 3 --objective latency --latency-bound 50ms --private-prefix 4"
    assert read(*words.split(), "--must", "a", "--must", "b", "--never", "c") == Wishes(
        min_stages=2,
        max_replicas=3,
        objective=Objective.LATENCY,
        latency_bound_s=0.05,
        must=(NodeId("a"), NodeId("b")),
        never=(NodeId("c"),),
        private_layers=4,
    )


@pytest.mark.parametrize(
    ("word", "value"), [("50ms", 0.05), ("0.2s", 0.2), ("800us", 8e-4), ("1 s", 1.0)]
)
def test_times_have_a_unit(word: str, value: float) -> None:
    assert time_s(word) == pytest.approx(value)


@pytest.mark.parametrize("word", ["50", "0ms", "-1s", "1h", "ms", "nan s", "86401s", ""])
def test_what_is_no_time_is_refused(word: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write 50ms"):
        time_s(word)


@pytest.mark.parametrize(
    "words",
    [
        ("--split", "0"),
        ("--replicas", "0"),
        ("--objective", "fame"),
        ("--latency-bound", "50"),
        ("--private-prefix", "0"),
        ("--split", "99999"),
        ("--must", "a", "--must", "a"),
        ("--must", "a", "--never", "a"),
    ],
)
def test_wrong_wishes_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        read(*words)
