import math
from collections.abc import Callable
from typing import TypeAlias

import pytest

from mesh.ids import NodeId
from mesh.planning import Bottleneck, BottleneckKind, Problem, solve

MakeProblem: TypeAlias = Callable[..., Problem]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (BottleneckKind.COMPUTE, "compute on a"),
        (BottleneckKind.TRANSFER, "transfer a → b"),
        (BottleneckKind.MACHINE, "machine shared by a, b"),
    ],
)
def test_a_bottleneck_reads_as_words(kind: BottleneckKind, text: str) -> None:
    assert str(Bottleneck(kind=kind, node_ids=(NodeId("a"), NodeId("b")))) == text


def test_work_that_takes_no_time_has_no_rate(simple_problem: MakeProblem) -> None:
    assert solve(simple_problem({"a": 0.0}, gateway=None)).requests_per_s == math.inf
